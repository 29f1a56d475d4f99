"""A small set of invoices that tests of clients and schemas share."""

from dataclasses import dataclass, field
from decimal import Decimal

from app.billing.enums import BillingUnit, InvoiceState
from app.billing.periods import Period
from tests.support.factories import Factories, Row, UserRow

ITEMS = 6


@dataclass
class Sample:
    """The rows of the sample."""

    staff: UserRow
    owner: UserRow
    stranger: UserRow
    customer: Row
    created: Row
    pending: Row
    canceled: Row
    payable: list[Row] = field(default_factory=list)
    newest_first: list[Row] = field(default_factory=list)


async def make_sample(make: Factories) -> Sample:
    """Make a customer with invoices in every state, on a small catalogue."""
    seller = await make.customer(name="Põhja Cloud")
    await make.service_provider(seller)
    offering = await make.offering(seller, name="Virtual machines")
    component = await make.component(offering)
    plan = await make.plan(offering)
    priced = await make.plan_component(plan, component)
    customer = await make.customer(name="Õun & Sons")
    project = await make.project(customer)
    resource = await make.resource(project, offering)
    await make.profile(customer)
    owner = await make.owner(customer)
    stranger = await make.owner(await make.customer())

    pending = await make.invoice(customer, Period(2026, 11))
    created = await make.invoice(customer, Period(2026, 10), InvoiceState.CREATED)
    payable = [
        await make.invoice(customer, Period(2026, month), InvoiceState.CREATED)
        for month in (9, 8, 7)
    ]
    canceled = await make.invoice(customer, Period(2026, 6), InvoiceState.CANCELED)
    for invoice in (pending, created, *payable):
        for unit in BillingUnit:
            await make.item(
                invoice,
                "3.3333333333",
                unit=unit,
                quantity=Decimal("1.5"),
                resource_id=resource.id,
                project_id=project.id,
                project_name="Project",
                project_uuid=project.uuid,
                plan_component_id=priced.id,
                details={"resource_name": "vm-1", "resource_uuid": resource.uuid.hex, "note": [1]},
            )
    return Sample(
        staff=await make.staff(),
        owner=owner,
        stranger=stranger,
        customer=customer,
        created=created,
        pending=pending,
        canceled=canceled,
        payable=payable,
        newest_first=[pending, created, *payable, canceled],
    )
