"""One record of each kind of the API, and each kind of caller."""

from dataclasses import dataclass
from typing import Final

from app import clock
from app.billing.enums import CustomerRoleName, InvoiceState, ProjectRoleName
from app.billing.periods import Period
from tests.support.factories import Factories, Row, UserRow

ITEM_NAME = "Virtual machine"
RECORDS_IN_PATHS: Final = {
    "credit-notes": "credit note",
    "credit-transactions": "credit transaction",
    "customer-affiliates": "affiliate",
    "customer-credits": "credit",
    "financial-reports": "customer",
    "invoice-items": "item",
    "invoices": "invoice",
    "payment-profiles": "profile",
    "payments": "payment",
    "project-credits": "project credit",
    "provider-invoice-items": "item",
}
"""The records in the paths of each group."""


@dataclass(frozen=True)
class World:
    """The records of an organization that shows its billing in projects, and their readers."""

    records: dict[str, Row]
    """By the name of the kind, with the meaning in `make_world`."""
    callers: dict[str, UserRow | None]
    """By the name of the role; None is a caller without a token. The most powerful is the last."""
    paid_period: Period
    """The period of the paid invoice."""

    @property
    def staff(self) -> UserRow:
        """The staff user."""
        staff = self.callers["staff"]
        assert staff is not None
        return staff


async def make_world(make: Factories) -> World:
    """Make the records; the item is on the invoice of the running month."""
    now = Period.containing(clock.now().date())
    seller, affiliate, other = [await make.customer() for _ in range(3)]
    await make.service_provider(seller)
    offering = await make.offering(seller)
    customer = await make.customer(display_billing_info_in_projects=True)
    project = await make.project(customer)
    other_project = await make.project(customer)
    resource = await make.resource(project, offering)
    pending = await make.invoice(customer, now)
    earlier = await make.invoice(customer, now.shifted(-1))
    invoice = await make.invoice(customer, now.shifted(-2), InvoiceState.CREATED)
    paid = await make.invoice(customer, now.shifted(-3), InvoiceState.PAID)
    item = await make.item(
        pending,
        name=ITEM_NAME,
        start=now.start,
        end=now.end,
        resource_id=resource.id,
        project_id=project.id,
        project_uuid=project.uuid,
    )
    await make.item(invoice, resource_id=resource.id)
    profile = await make.profile(customer)
    payment = await make.payment(profile)
    note = await make.credit_note(paid)
    credit = await make.credit(customer)
    await make.item(
        earlier, "-1", credit=True, customer_credit_id=credit.id, project_id=other_project.id
    )
    share = await make.project_credit(project, "50")
    movement = await make.credit_transaction(
        customer_uuid=customer.uuid, project_credit_uuid=share.uuid, project_uuid=project.uuid
    )
    link = await make.affiliate(customer, affiliate)
    await make.fee_accrual(link, invoice)
    records = {
        "customer": customer,
        "other customer": other,
        "project": project,
        "other project": other_project,
        "offering": offering,
        "pending": pending,
        "earlier": earlier,
        "invoice": invoice,
        "paid": paid,
        "item": item,
        "profile": profile,
        "payment": payment,
        "credit": credit,
        "credit note": note,
        "project credit": share,
        "credit transaction": movement,
        "affiliate": link,
    }

    async def at_customer(role: CustomerRoleName) -> UserRow:
        user = await make.user()
        await make.role(user, customer, role=role)
        return user

    async def in_project(role: ProjectRoleName) -> UserRow:
        user = await make.user()
        await make.project_role(user, project, role=role)
        return user

    callers = {
        "no token": None,
        "stranger": await make.owner(other),
        "seller": await make.owner(seller),
        "affiliate": await make.owner(affiliate),
        "project member": await in_project(ProjectRoleName.MEMBER),
        "project manager": await in_project(ProjectRoleName.MANAGER),
        "reader": await at_customer(CustomerRoleName.READER),
        "customer support": await at_customer(CustomerRoleName.SUPPORT),
        "manager": await at_customer(CustomerRoleName.MANAGER),
        "owner": await at_customer(CustomerRoleName.OWNER),
        "support": await make.support(),
        "staff": await make.staff(),
    }
    return World(records, callers, now.shifted(-3))
