"""The statements of a declared list: joins only where they are needed, a total order."""

import pytest
from sqlalchemy import ForeignKey, true
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.database.filter_set import NOTHING, equals
from app.database.lists import Join, RowList, select_one, select_rows
from app.database.statements import AnySelect


class _Base(DeclarativeBase):
    pass


class Author(_Base):
    __tablename__ = "authors"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    town_id: Mapped[int | None] = mapped_column(ForeignKey("towns.id"))


class Town(_Base):
    __tablename__ = "towns"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Book(_Base):
    __tablename__ = "books"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    author_id: Mapped[int] = mapped_column(ForeignKey("authors.id"))


BOOKS: RowList[str] = RowList(
    table=Book,
    uuid=Book.id,
    columns={"title": Book.title, "author": Author.name, "place": (Town.id, Town.name)},
    joins=(
        Join(Author, Author.id == Book.author_id),
        Join(Town, Town.id == Author.town_id, optional=True),
    ),
    conditions={"town": equals(Town.name, "town")},
    orders={"id": Book.id, "author": Author.name, "town": Town.name},
    default_order=("id",),
    visible=lambda scope: true() if scope == "all" else Author.name == scope,
)


def joined(statement: AnySelect) -> list[str]:
    return [word for word in ("authors", "towns") if f"JOIN {word}" in str(statement)]


@pytest.mark.parametrize(
    ("fields", "names", "scope", "tables"),
    [
        (("title",), (), "all", []),
        (("author",), (), "all", ["authors"]),
        (("title",), (), "somebody", ["authors"]),
        (("place",), (), "all", ["authors", "towns"]),
        (("title",), ("town",), "all", ["authors", "towns"]),
    ],
)
def test_a_statement_joins_what_it_needs(
    fields: tuple[str, ...], names: tuple[str, ...], scope: str, tables: list[str]
) -> None:
    assert joined(select_one(BOOKS, scope, names, fields).statement) == tables


def test_a_row_has_a_column_by_its_field_and_several_by_their_names() -> None:
    columns = select_rows(BOOKS, ("title", "author", "place")).selected_columns
    assert columns.keys() == ["title", "author", "id", "name"]


def test_no_row_meets_the_condition_nothing() -> None:
    assert "false" in str(select_one(BOOKS, "all", (NOTHING,), ("title",)).statement)


def test_a_statement_is_built_once() -> None:
    assert select_one(BOOKS, "all", (), ("title",)) is select_one(BOOKS, "all", (), ("title",))
