"""References in notes are links, and nothing else in them becomes one."""

import pytest

from mergewright.localforge.markdown import markdown
from mergewright.localforge.pages.links import linked


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("see #7", '<p>see <a href="/g/p/-/issues/7">#7</a></p>'),
        ("(!12).", '<p>(<a href="/g/p/-/merge_requests/12">!12</a>).</p>'),
        (
            "at http://127.0.0.1:1/g/p?a=1&b=2.",
            '<p>at <a href="http://127.0.0.1:1/g/p?a=1&amp;b=2" rel="nofollow noreferrer noopener">'
            "http://127.0.0.1:1/g/p?a=1&amp;b=2</a>.</p>",
        ),
        ("`#7` and g/p#7, a!12, &#39; #0 x#1", "<p><code>#7</code> and g/p#7, a!12, ' #0 x#1</p>"),
        ("[see #7](http://x/)", '<p><a href="http://x/">see #7</a></p>'),
        ("```\n#7 http://x/\n```", "<pre><code>#7 http://x/\n</code></pre>"),
        ("it's #3's", "<p>it's <a href=\"/g/p/-/issues/3\">#3</a>'s</p>"),
        (
            'http://x/"onclick="a http://x/<b>',
            '<p><a href="http://x/" rel="nofollow noreferrer noopener">http://x/</a>&quot;onclick=&quot;a '
            '<a href="http://x/" rel="nofollow noreferrer noopener">http://x/</a>&lt;b&gt;</p>',
        ),
        ("javascript:alert(1) ftp://x/ http://", "<p>javascript:alert(1) ftp://x/ http://</p>"),
    ],
)
def test_references_become_links_where_they_stand_in_running_text(text: str, html: str) -> None:
    assert linked(markdown(text), "/g/p").strip() == html


def test_a_path_in_the_link_is_escaped() -> None:
    assert linked(markdown("#7"), '/g/"p').strip() == '<p><a href="/g/&#34;p/-/issues/7">#7</a></p>'
