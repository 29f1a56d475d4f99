"""The revisions that a release knows, and databases of other releases."""

from alembic.script import ScriptDirectory

from app.database.revisions import is_current, known_revisions, newest_revision
from tests.support.paths import ROOT


def test_files_are_named_for_their_revisions_in_the_order_of_alembic() -> None:
    scripts = ScriptDirectory(str(ROOT / "migrations"))
    from_newest = [script.revision for script in scripts.walk_revisions()]
    assert list(known_revisions()) == from_newest[::-1]


def test_the_newest_revision_is_current() -> None:
    assert is_current({newest_revision()})


def test_a_revision_of_a_newer_release_is_current() -> None:
    assert is_current({"9999"})


def test_an_older_revision_is_not_current() -> None:
    assert not is_current({known_revisions()[-2]})


def test_a_database_without_a_revision_is_not_current() -> None:
    assert not is_current(set())
