"""A page of FastAPI that validates a path, a query and a JSON body, and answers with a model."""

from fastapi import FastAPI, Path, Query
from pydantic import BaseModel, Field

application = FastAPI()


class Order(BaseModel):
    item: str = Field(min_length=1, max_length=40)
    count: int = Field(ge=1)
    price: float = Field(gt=0)
    tags: list[str] = []


class Receipt(BaseModel):
    order: int
    item: str
    total: float
    gift: bool


@application.post("/orders/{number}")
async def place(order: Order, number: int = Path(ge=1), gift: bool = Query(False)) -> Receipt:
    return Receipt(order=number, item=order.item, total=order.count * order.price, gift=gift)
