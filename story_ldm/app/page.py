"""The storyboard's page and its server, by Gradio.

serve(Path("stories"), [], host="127.0.0.1", port=7860)     # until Ctrl-C
blocks = page(studio)                                       # for a notebook or a Space; launch(blocks, …) as `serve` does

Nothing is loaded from other hosts: system fonts, no analytics, and the scripts of Gradio's own package.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

from story_ldm.app.models import offered
from story_ldm.app.project_zip import MOST_BYTES
from story_ldm.app.studio import Studio
from story_ldm.files import write_text
from story_ldm.locks import hold

BOARD = Path(__file__).parent / "board"
SCRIPTS = ("dom.js", "cards.js", "dialogs.js", "board.js")  # one after another, as one function
LOOPBACK = ("127.0.0.1", "localhost", "::1")
FONTS = ("system-ui", "-apple-system", "Segoe UI", "Noto Sans", "sans-serif")


def page(studio: Studio) -> Any:
    """The page as `gradio.Blocks`, to be given to `launch`."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    import gradio as gr

    def ask(question: dict[str, Any]) -> dict[str, Any]:
        return studio.ask(question)

    script = "\n".join((BOARD / name).read_text(encoding="utf-8") for name in SCRIPTS)
    with gr.Blocks(title="Story studio", analytics_enabled=False, fill_width=True) as blocks:
        gr.HTML(
            studio.key or "",
            html_template='<div class="studio" data-key="${value}"></div>',
            js_on_load=script,
            apply_default_css=False,
            server_functions=[ask],
            elem_id="studio",
        )
    return blocks


def launch(blocks: Any, host: str = "127.0.0.1", port: int = 7860, **more: Any) -> Any:
    """Serves the page. more: arguments of Gradio's launch (share, auth, prevent_thread_lock, …)."""
    import gradio as gr
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    middleware = [Middleware(BodyLimit, most=MOST_BYTES * 4 // 3 + 10_000)]
    if host in LOOPBACK and not more.get("share"):  # else pages of others could reach it under a name of theirs that leads here
        middleware.append(Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "[::1]"]))
    more["app_kwargs"] = {"middleware": middleware}
    return blocks.launch(
        server_name=host,
        server_port=port,
        theme=gr.themes.Base(font=FONTS, font_mono=("ui-monospace", "monospace")),
        css=(BOARD / "board.css").read_text(encoding="utf-8"),
        favicon_path=str(BOARD / "icon.svg"),
        footer_links=[],
        ssr_mode=False,
        max_file_size=1,  # files come with questions, not by Gradio's upload
        **more,
    )


class BodyLimit:
    """ASGI: requests with more than `most` bytes are refused, before they are read into memory."""

    def __init__(self, app: Any, most: int):
        self.app, self.most = app, most

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        from starlette.responses import PlainTextResponse

        left = self.most

        async def counted() -> Any:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            return {"type": "http.disconnect"} if left < 0 else message

        length = dict(scope.get("headers", [])).get(b"content-length", b"0")
        if scope["type"] == "http" and (not length.isdigit() or int(length) > self.most):
            return await PlainTextResponse("too large", 413)(scope, receive, send)
        await self.app(scope, counted if scope["type"] == "http" else receive, send)


def own_key(root: Path) -> str:
    """The key of the one user of this machine, made at the first start; pages of others cannot read it."""
    file = root / ".key"
    if not file.is_file():
        root.mkdir(parents=True, exist_ok=True)
        write_text(file, secrets.token_urlsafe(24))
        file.chmod(0o600)
    return file.read_text(encoding="utf-8").strip()


def serve(
    root: Path,
    models: list[str] | tuple[str, ...],
    host: str,
    port: int,
    share: bool = False,
    users: str = "auto",
    password: str | None = None,
    loras: list[Path] | tuple[Path, ...] = (),
    wait: bool = True,
) -> Any:
    """Starts the storyboard; with `wait`, until it is interrupted. Raises ValueError for models that are none, and for a folder in use."""
    found = offered(models, loras)
    hold(root)
    one = users == "one" or (users == "auto" and host in LOOPBACK and not share)
    studio = Studio(root, found, own_key(root) if one else None)
    studio.artist.warm(next(iter(found)))
    auth = None if password is None else (lambda name, given: secrets.compare_digest(given.encode(), password.encode()))
    blocks = page(studio)
    launch(blocks, host, port, share=share, auth=auth, quiet=True, prevent_thread_lock=True)
    print(f"The storyboard is at {blocks.share_url or blocks.local_url} – its stories are in {root.resolve()}", flush=True)
    if wait:
        blocks.block_thread()
    return blocks
