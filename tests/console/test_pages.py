"""What the pages show, and what they never show."""

from tests.console.stage import MARKER, Operator, Stage

PAGES = ("/", "/backends", "/backends/gpu-a", "/backends/gpu-b", "/queue", "/jobs", "/dead", "/plugins")


async def test_no_page_shows_what_users_wrote(stage: Stage, somebody: Operator) -> None:
    numbers = await stage.fill()
    single = [f"/jobs/{number}" for of_state in numbers.values() for number in of_state]
    for path in (*PAGES, *single):
        answer = await somebody.get(path)
        assert answer.status == 200, path
        assert MARKER not in somebody.page, path
        assert "birthday" not in somebody.page, path
