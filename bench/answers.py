"""A server that reads a request and answers it, on the stack that ours stands on: the yardstick of `webhooks`."""

import asyncio
import socket

import uvicorn
from starlette.types import Receive, Scope, Send

BODY = b'{"taken":1,"known":false}'


async def answer(_: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]
    await send({"type": "http.response.start", "status": 202, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})


def main() -> None:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(512)
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(
        answer, log_config=None, access_log=False, lifespan="off", loop="asyncio", http="httptools", ws="none"
    )
    asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))


if __name__ == "__main__":
    main()
