"""Groups of organizations: one an organization in older releases, several in newer ones."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.dataio.waldur.conftest import Import
from tests.support.waldur import add_rows, execute
from tests.support.waldur_release_8 import GROUPS, UPGRADE
from tests.support.waldur_sample import uid

STATE, PORTS = (
    {"id": number, "uuid": uid(name), "name": name} for number, name in ((1, "State"), (2, "Ports"))
)


async def members(connection: AsyncConnection) -> list[Any]:
    statement = (
        "SELECT customers.name || ' in ' || organization_groups.name"
        " FROM customer_organization_groups JOIN customers ON customers.id = customer_id"
        " JOIN organization_groups ON organization_groups.id = organization_group_id ORDER BY 1"
    )
    return list(await connection.scalars(text(statement)))


async def test_the_group_of_an_organization_is_imported(
    waldur: str, bring: Import, connection: AsyncConnection
) -> None:
    await execute(
        waldur, GROUPS, "ALTER TABLE structure_customer ADD organization_group_id integer"
    )
    await add_rows(waldur, "structure_organizationgroup", STATE, PORTS)
    await execute(waldur, "UPDATE structure_customer SET organization_group_id = 2 WHERE id = 11")
    await bring()
    assert await members(connection) == ["buyer in Ports"]


async def test_several_groups_of_an_organization_are_imported_and_updated(
    waldur: str, bring: Import, connection: AsyncConnection
) -> None:
    await execute(waldur, *UPGRADE)
    await add_rows(waldur, "structure_organizationgroup", STATE, PORTS)
    links = "structure_customer_organization_groups"
    await execute(waldur, f"INSERT INTO {links} VALUES (1, 11, 1), (2, 11, 2), (3, 12, 1)")
    await bring()
    assert await members(connection) == ["buyer in Ports", "buyer in State", "seller in State"]
    await execute(waldur, f"DELETE FROM {links} WHERE id = 1")
    report = await bring()
    assert await members(connection) == ["buyer in Ports", "seller in State"]
    assert +report.updated == {"customer": 1}
