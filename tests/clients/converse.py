"""converse.js, a web client that we did not write, in a browser: seen and clicked as a person does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlencode

from playwright.async_api import Locator, Page, expect

from tests.clients.browser import PATIENCE, browser, picture, served
from tests.support import fetch_converse, npm

PAGE = Path(__file__).with_name("converse.html")
SCREENSHOTS = npm.CACHE / "screenshots"  # to be looked at; never committed

expect.set_options(timeout=PATIENCE * 1000)


class Converse:
    """Somebody's client, logged in. What it shows is the chat that was opened last."""

    def __init__(self, page: Page, jid: str) -> None:
        self.page = page
        self.bare = jid
        self.stumbles: list[str] = []  # exceptions in the client: it met a stanza that it cannot cope with
        page.on("pageerror", lambda error: self.stumbles.append(f"{error}\n{error.stack}"))

    # --- whom to talk to ---

    async def start_chat(self, jid: str) -> None:
        """The menu's "Start a new chat"."""
        await self._contacts_menu("a.new-chat")
        dialog = self.page.locator("converse-new-chat-modal")
        await dialog.locator("input[name=jid]").fill(jid)
        await dialog.locator("button[type=submit]").click()
        await self._opened(jid)

    async def open(self, jid: str) -> None:
        """Click somebody in the list of contacts."""
        await self._contact(jid).click()
        await self._opened(jid)

    async def add_contact(self, jid: str, name: str) -> None:
        """The menu's "Add a contact"; it is opened at once."""
        await self._contacts_menu("a.add-contact")
        dialog = self.page.locator("converse-add-contact-modal")
        await dialog.locator("input[name=jid]").fill(jid)
        await dialog.locator("input[name=name]").fill(name)
        await dialog.locator("button[type=submit]").click()
        await self._opened(jid)

    async def approve(self, jid: str) -> None:
        """Say yes to somebody who would like to be a contact."""
        entry = self.page.locator("converse-roster-contact", has=self._contact(jid))
        await entry.locator("button.dropdown-toggle").click()
        await entry.locator("a.accept-xmpp-request").click()
        dialog = self.page.locator("converse-accept-contact-request-modal, converse-add-contact-modal")
        await dialog.locator("button[type=submit]").click()
        await expect(dialog).to_be_hidden()

    async def announcements(self, jid: str) -> str:
        """What a server or gateway has said by itself."""
        await self.page.locator(f"a.open-headline[data-headline-jid='{jid}']").click()
        said = self.page.locator("converse-headlines .chat-msg")
        await expect(said.first).to_be_visible()
        return "\n".join(await said.all_inner_texts())

    async def is_shown_as(self, jid: str, name: str) -> None:
        """Wait until the list of contacts calls somebody so."""
        entry = self._contact(jid).first  # with unread messages they are listed twice
        await expect(entry.locator(".contact-name")).to_have_text(name)

    # --- the open chat ---

    @property
    def messages(self) -> Locator:
        return self.page.locator("converse-chat .chat-msg")

    def message(self, text: str) -> Locator:
        """The one message of the open chat with this text; playwright complains when it is shown twice."""
        return self.messages.filter(has_text=text)

    async def say(self, text: str) -> None:
        field = self.page.locator("converse-chat textarea.chat-textarea")
        await field.fill(text)
        await field.press("Enter")

    async def share(self, path: Path) -> None:
        await self.page.locator("converse-chat input.fileupload").set_input_files(path)

    async def reads(self, text: str, sender: str) -> None:
        """Wait until somebody's message is there; once."""
        shown = self.page.locator(f"converse-chat .chat-msg[data-from^='{_css(sender)}']", has_text=text)
        await expect(shown).to_be_visible()
        await expect(shown).to_have_count(1)

    async def ticked(self, text: str) -> None:
        """Wait for the tick of a receipt beside one's own message."""
        await expect(self.message(text).locator(".chat-msg__receipt")).to_be_visible()

    async def complaint(self, text: str) -> str:
        """The error under one's own message."""
        error = self.message(text).locator(".chat-msg__error")
        await expect(error).to_be_visible()
        return await error.inner_text()

    async def sees_picture(self, number: int) -> None:
        """Wait until so many pictures are shown in the chat, loaded from where they lie."""
        await expect(self.page.locator("converse-chat .chat-msg img.chat-image")).to_have_count(number)
        await self.page.wait_for_function(
            "[...document.querySelectorAll('converse-chat .chat-msg img.chat-image')]"
            ".every(one => one.complete && one.naturalWidth > 0)"
        )

    @asynccontextmanager
    async def commands(self, jid: str) -> AsyncIterator["Commands"]:
        """What can be done at an entity: the tab "Commands" of the settings, open for as long as it lasts."""
        await self.page.locator("a.show-client-info").click()
        dialog = self.page.locator("converse-user-settings-modal")
        try:
            await dialog.get_by_role("tab", name="Commands").click()
            await dialog.locator("converse-adhoc-commands input[name=jid]").fill(jid)
            await dialog.locator("converse-adhoc-commands input[type=submit]").click()
            await expect(dialog.locator("a[data-command-node]").first).to_be_visible()
            yield Commands(dialog)
        finally:
            await dialog.locator(".modal-footer button").click()
            await expect(dialog).to_be_hidden()

    async def screenshot(self, name: str) -> None:
        await picture(self.page, SCREENSHOTS / f"{name}.png")

    # --- parts ---

    def _contact(self, jid: str) -> Locator:
        return self.page.locator(f"a.open-chat[data-jid='{_css(jid)}']")

    async def _contacts_menu(self, entry: str) -> None:
        await self.page.locator("converse-roster button.dropdown-toggle").first.click()
        await self.page.locator(f".dropdown-menu.show {entry}").click()

    async def _opened(self, jid: str) -> None:
        chat = self.page.locator(f"converse-chat[jid='{_css(jid)}']")
        await expect(chat.locator("textarea.chat-textarea")).to_be_visible()
        await expect(self.page.locator(".modal.show")).to_have_count(0)


class Commands:
    """The list of an entity's commands (XEP-0050), and their forms."""

    def __init__(self, dialog: Locator) -> None:
        self._dialog = dialog

    async def nodes(self) -> list[str]:
        entries = await self._dialog.locator("a[data-command-node]").all()
        return [str(await one.get_attribute("data-command-node")) for one in entries]

    async def run(self, node: str, **fields: str) -> str:
        """Fill in a command's form and complete it; what is said then."""
        await self._dialog.locator(f"a[data-command-node='{node}']").click()
        for name, value in fields.items():
            await self._dialog.locator(f"input[name='{name}']").fill(value)
        await self._dialog.locator("input[data-action=complete]").click()
        await expect(self._dialog.locator(".alert", has_text="Completed")).to_be_visible()
        return await self._dialog.locator("converse-adhoc-commands > .form-help").inner_text()


def _css(text: str) -> str:
    """Inside a CSS string a backslash would begin an escape."""
    return text.replace("\\", "\\\\")


@asynccontextmanager
async def converse(jid: str, password: str, http_port: int) -> AsyncIterator[Converse]:
    """converse.js from a page on loopback, logged in through the chat server's websocket."""
    async with served(PAGE, fetch_converse.TARGET) as url, browser() as window:
        page = await window.new_page()
        websocket = f"ws://127.0.0.1:{http_port}/xmpp-websocket"
        await page.goto(f"{url}?{urlencode({'websocket': websocket})}")
        await page.locator("input[name=jid]").fill(jid)
        await page.locator("input[name=password]").fill(password)
        await page.locator("converse-login-form [type=submit]").click()
        await expect(page.locator("converse-user-profile .username")).to_be_visible()
        yield Converse(page, jid)
