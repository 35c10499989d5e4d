"""A page of a report as a browser takes it: what it is made of, and what it would fetch."""

from html.parser import HTMLParser
from typing import Final

# Text that wants to be more, wherever names, labels and texts from outside may stand.
HOSTILE: Final = (
    "<script>alert(1)</script>",
    '"><img src=//evil.example onerror=alert(1)>',
    "' onload='alert(1)",
    "</style><style>@import url(//evil.example)",
    "--><svg onload=alert(1)>",
    "&lt;b&gt;&#60;b&#62;",
    "\x1b[2K\x1b]0;title\x07 \u202egnp.exe \u2066\x00\x85",
    "{{7*7}} ${7*7} `id`",
    "]]></title></pre></text>",
)
_TAGS: Final = frozenset(
    [
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "header",
        "main",
        "nav",
        "section",
        "h1",
        "h2",
        "h3",
        "p",
        "pre",
        "br",
        "em",
        "strong",
        "span",
        "ul",
        "ol",
        "li",
        "a",
        "div",
        "figure",
        "figcaption",
        "img",
        "details",
        "summary",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "svg",
        "g",
        "text",
        "path",
        "line",
        "rect",
        "circle",
        "image",
    ]
)
_ATTRIBUTES: Final = frozenset(
    [
        "lang",
        "charset",
        "name",
        "content",
        "http-equiv",
        "class",
        "id",
        "href",
        "src",
        "alt",
        "scope",
        "tabindex",
        "open",
        "viewbox",
        "role",
        "aria-label",
        "x",
        "y",
        "x1",
        "x2",
        "y1",
        "y2",
        "d",
        "r",
        "cx",
        "cy",
        "width",
        "height",
        "text-anchor",
        "points",
        "transform",
        "fill-opacity",
        "preserveaspectratio",
    ]
)
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


class Page(HTMLParser):
    """Reads a page.

    Attributes:
        faults: what a page of ours never has.
        text: all that a reader sees.
        forms: each element with its attributes, of which text counts as any other.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.faults: list[str] = []
        self.forms: list[tuple[str, ...]] = []
        self._texts: list[str] = []
        self._policies: list[str] = []
        self._is_style = False
        self.feed(page)
        self.close()
        if self._policies != [_POLICY]:
            self.faults.append(f"policies are {self._policies}")
        if moving := sorted({each for each in page if not (each.isprintable() or each == "\n")}):
            self.faults.append(f"characters {moving}")

    @property
    def text(self) -> str:
        """All that a reader sees."""
        return "".join(self._texts)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes an element, and what is wrong with it."""
        self._is_style = tag == "style"
        self.forms.append((tag, *(name for name, _ in attrs)))
        if tag not in _TAGS:
            self.faults.append(f"<{tag}>")
        for name, value in attrs:
            if name not in _ATTRIBUTES:
                self.faults.append(f"<{tag} {name}>")
            if tag == "image" and name == "href":
                if not (value or "").startswith("data:image/png;base64,"):
                    self.faults.append(f"a picture from {value}")
            elif name == "href" and not (value or "").startswith("#"):
                self.faults.append(f"a link to {value}")
            if name == "src" and not (value or "").startswith("data:image/png;base64,"):
                self.faults.append(f"a picture from {value}")
            if name == "content" and "default-src" in (value or ""):
                self._policies.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        """Ends the style."""
        self._is_style = self._is_style and tag != "style"

    def handle_comment(self, data: str) -> None:
        """There is none."""
        self.faults.append(f"a comment {data}")

    def handle_data(self, data: str) -> None:
        """Notes text; a style fetches nothing."""
        if not self._is_style:
            self._texts.append(data)
        elif "url" in data or "@import" in data:
            self.faults.append("a style that fetches")
