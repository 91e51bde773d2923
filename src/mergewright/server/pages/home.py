"""Where a visit begins."""

from fastapi import APIRouter
from fastapi.responses import RedirectResponse

router = APIRouter()


@router.get("/")
async def home() -> RedirectResponse:
    """Lead to the sessions."""
    return RedirectResponse("/sessions", 303)
