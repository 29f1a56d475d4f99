"""What an error of the database tells."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.database.engine import Database


async def test_an_error_does_not_tell_the_values(database: Database) -> None:
    with pytest.raises(DBAPIError) as error:
        async with database.reading() as connection:
            await connection.execute(text("SELECT 1 / (length(:key) - 6)"), {"key": "geheim"})
    assert "division by zero" in str(error.value)
    assert "geheim" not in str(error.value)
