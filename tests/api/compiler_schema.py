"""A schema with everything a compiled operation may meet: right and wrong values, resolvers of every kind."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable
from enum import Enum
from typing import Annotated, Any, NewType, Union

import strawberry
from graphql import GraphQLSchema
from strawberry.directive import DirectiveLocation
from strawberry.extensions import FieldExtension
from strawberry.permission import BasePermission
from strawberry.schema.config import StrawberryConfig

Info = strawberry.Info[dict[str, Any], Any]
NOON = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
Points = NewType("Points", int)
Anything = NewType("Anything", str)


class TroubleError(Exception):
    """Has a text, as a value of many scalars has."""


class Ghost:
    """Answers to any name, so that it looks as if it were to be awaited."""

    def __getattr__(self, name: str) -> str:
        return "boo"


def _points(value: int) -> int:
    if value < 0:
        raise ValueError(f"{value} points cannot be")
    return value


def _anything(value: object) -> str | None:
    return None if value == "vanishes" else str(value)


def note(info: Info, source: Any) -> None:
    """Count a call by its place and its object."""
    place = "/".join(map(str, info.path.as_list()))
    info.context["calls"][f"{place} {info.field_name} {getattr(source, 'id', None)}"] += 1


@strawberry.enum
class Kind(Enum):
    EARN = "earn"
    SPEND = strawberry.enum_value("spend", name="SPENT")


class Nobody(BasePermission):
    message = "Not for you."

    def has_permission(self, source: Any, info: Info, **_: Any) -> bool:
        note(info, source)
        return False


class Louder(FieldExtension):
    def resolve(self, next_: Callable[..., Any], source: Any, info: Info, **kwargs: Any) -> Any:
        return next_(source, info, **kwargs).upper()


@strawberry.input
class Inner:
    text: str = "inner"


@strawberry.input
class Filter:
    limit: int = 2
    kinds: list[Kind] = strawberry.field(default_factory=lambda: [Kind.SPEND])
    inner: Inner | None = None
    nothing: str | None = strawberry.UNSET


@strawberry.interface
class Node:
    id: strawberry.ID


@strawberry.interface
class Named:
    name: str

    @strawberry.field
    def greeting(self, info: Info) -> str:
        note(info, self)
        return f"I am {self.name}"


@strawberry.type
class Dog(Node, Named):
    barks: bool | None = None


@strawberry.type
class Tag:
    name: str


@strawberry.type
class Cat(Node):
    lives: int

    @strawberry.field
    async def friend(self, info: Info) -> "Pet":
        note(info, self)
        return REX


@strawberry.type
class Stray(Node):
    """Its objects are rows of another class, which it recognises itself."""

    colour: str | None

    @classmethod
    def is_type_of(cls, value: Any, info: Any) -> bool:
        note(info, value)
        return isinstance(value, Row)


class Row:
    """A row that answers None for whatever it has not."""

    id = "row"

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


Pet = Annotated[Union[Dog, Cat, Stray], strawberry.union("Pet")]  # noqa: UP007 - strawberry's own spelling
REX = Dog(id=strawberry.ID("rex"), name="Rex", barks=True)
TOM = Cat(id=strawberry.ID("tom"), lives=9)
CAST = strawberry.cast(Cat, Dog(id=strawberry.ID("cast"), name="Cast"))
STRAY = Stray(id=strawberry.ID("stray"), colour="red")  # not a row, so refused by its own type
PETS: list[Any] = [REX, TOM, None, CAST, Row(), STRAY, "no pet", KeyError("a pet that is an error")]


@strawberry.type
class Thing(Node):
    """Attributes of every kind, right and wrong, and resolvers of every kind."""

    text: str = "text"
    maybe: str | None = None
    missing: str = None  # type: ignore[assignment]
    number: int = "7"  # type: ignore[assignment]
    wrong: int | None = "seven"  # type: ignore[assignment]
    huge: int | None = 2**40
    flag: bool = True
    ratio: float = 0.5
    at: dt.datetime = NOON
    kind: Kind = Kind.SPEND
    raw_kind: Kind = "earn"  # type: ignore[assignment]
    bad_kind: Kind | None = "lost"  # type: ignore[assignment]
    points: Points = Points(0)
    bad_points: Points | None = Points(-5)
    worse_points: Points = Points(-6)
    anything: Anything = Anything("")
    vanishing: Anything | None = Anything("vanishes")
    no_thing: Anything = None  # type: ignore[assignment]
    error: str | None = TroubleError("an error as a value")  # type: ignore[assignment]
    dog: Dog | None = strawberry.field(default_factory=lambda: CAST)
    stray: Stray | None = strawberry.field(default_factory=lambda: STRAY)
    strays: list[Stray] = strawberry.field(default_factory=lambda: [Row(), Row()])
    tag: Tag | None = strawberry.field(default_factory=Ghost)
    matrix: list[list[int]] = strawberry.field(default_factory=lambda: [[1, 2], [3]])
    holes: list[int | None] = strawberry.field(default_factory=lambda: [1, None, "x", 4])
    bad_holes: list[list[int]] | None = strawberry.field(default_factory=lambda: [[1], [2, None]])
    no_list: list[int] | None = 5  # type: ignore[assignment]
    letters: list[str] = ("a", "b")  # type: ignore[assignment]
    child: "Thing | None" = None
    children: "list[Thing]" = strawberry.field(default_factory=list)
    sparse: "list[Thing | None]" = strawberry.field(default_factory=list)
    grid: "list[list[Thing]]" = strawberry.field(default_factory=list)
    node: Node = strawberry.field(default_factory=lambda: TOM)
    nodes: list[Node | None] = strawberry.field(default_factory=lambda: PETS)
    pets: list[Pet | None] = strawberry.field(default_factory=lambda: PETS)
    named: list[Named] | None = strawberry.field(default_factory=lambda: [REX, REX])
    unnamed: Named | None = strawberry.field(default_factory=lambda: TOM)

    @strawberry.field
    def calm(self) -> str:
        return self.text

    @strawberry.field
    def by_parent(self, parent: strawberry.Parent["Thing"], info: Info) -> str:
        note(info, self)
        return f"{parent.id} {self is parent}"

    @strawberry.field
    def broken(self, info: Info) -> str | None:
        note(info, self)
        raise RuntimeError("broken")

    @strawberry.field
    def broken_required(self, info: Info) -> str:
        note(info, self)
        raise RuntimeError("broken, and required")

    @strawberry.field
    def moody(self, info: Info) -> str:
        note(info, self)
        if self.id.endswith("!"):
            raise RuntimeError("moody")
        return "fine"

    @strawberry.field
    async def slow(self, info: Info) -> str:
        note(info, self)
        await asyncio.sleep(0)
        return self.text

    @strawberry.field
    async def slow_broken(self, info: Info) -> str | None:
        note(info, self)
        await asyncio.sleep(0)
        raise RuntimeError("slowly broken")

    @strawberry.field
    async def slow_missing(self, info: Info) -> str:
        note(info, self)
        return None  # type: ignore[return-value]

    @strawberry.field(permission_classes=[Nobody])  # type: ignore[untyped-decorator]
    def guarded(self) -> str | None:
        return "secret"

    @strawberry.field(extensions=[Louder()])  # type: ignore[untyped-decorator]
    def loud(self, text: str = "hey") -> str:
        return text

    @strawberry.field
    async def loaded(self, info: Info) -> "Thing | None":
        note(info, self)
        thing: Thing = await info.context["loader"].load(str(self.id))
        return thing

    @strawberry.field
    def promised(self, info: Info) -> "list[Thing | None]":
        note(info, self)
        return [info.context["loader"].load("promise"), info.context["loader"].load("!"), self]

    @strawberry.field
    def once(self, info: Info) -> "list[Thing]":
        note(info, self)
        return iter([self, self])  # type: ignore[return-value]

    @strawberry.field
    def related(
        self,
        info: Info,
        count: int = 2,
        kind: Kind = Kind.EARN,
        filter: Filter | None = None,  # noqa: A002
    ) -> "list[Thing]":
        note(info, self)
        return [make_thing(f"{kind.name}{filter}"[:9], 1)] * count

    @strawberry.field
    async def echo(
        self,
        filter: Filter,  # noqa: A002
        kinds: list[Kind] | None = None,
        text: str | None = "x",
        points: Points = Points(3),
        maybe: strawberry.Maybe[str] = None,
    ) -> str:
        return f"{filter} {kinds} {text} {points} {maybe}"

    @strawberry.field
    def where(self, info: Info, text: str | None = None) -> str:
        raw = info._raw_info
        names = [raw.field_name, str(raw.parent_type), str(raw.return_type), sorted(raw.fragments)]
        return f"{names} {info.path} {info.selected_fields} {info.variable_values} {info.input_extensions} {text}"


def make_thing(key: str, depth: int) -> Thing:
    if depth == 0:
        return Thing(id=strawberry.ID(key))
    below = make_thing(f"{key}.{depth}", depth - 1)
    other = make_thing(f"{key}.{depth}!", depth - 1)
    return Thing(
        id=strawberry.ID(key), child=below, children=[below, other], sparse=[below, None], grid=[[below], [below]]
    )


async def load(context: dict[str, Any], keys: list[str]) -> list[Any]:
    context["loads"].append(sorted(keys))
    return [LookupError(f"no {key}") if key == "!" else make_thing(f"{key}'", 1) for key in keys]


@strawberry.type
class Query:
    @strawberry.field
    async def thing(self, info: Info, id: strawberry.ID | None = None) -> Thing | None:  # noqa: A002
        note(info, self)
        return make_thing(id or "root", 3)

    @strawberry.field
    def required(self) -> Thing:
        return make_thing("required", 2)

    constant: int = 5


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def add(self, info: Info, number: int) -> Thing | None:
        info.context["calls"][f"begin {number}"] = len(info.context["calls"])
        await asyncio.sleep(0)
        info.context["calls"][f"end {number}"] = len(info.context["calls"])
        if number < 0:
            raise ValueError("negative")
        return make_thing(f"n{number}", 1)

    @strawberry.mutation
    def fail(self, info: Info) -> int:
        note(info, self)
        raise ValueError("failed")


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def things(self, count: int = 2) -> AsyncIterator[Thing]:
        for number in range(count):
            yield make_thing(str(number), 1)


@strawberry.directive(locations=[DirectiveLocation.FIELD])
def shout(value: str) -> str:
    return value.upper()


@strawberry.type
class ItemQuery:
    """Its source and all below are dicts."""

    tag: Tag
    tags: list[Tag]

    @strawberry.field
    def calm(self) -> str:
        return "calm"


def schema_of_items(read: Callable[[Any, str], object]) -> GraphQLSchema:
    """Make a schema whose plain values are read in another way than as attributes."""
    return strawberry.Schema(query=ItemQuery, config=StrawberryConfig(default_resolver=read))._schema


SCHEMA = strawberry.Schema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    types=[Stray],
    directives=[shout],
    config=StrawberryConfig(
        scalar_map={
            Points: strawberry.scalar(name="Points", serialize=_points),
            Anything: strawberry.scalar(name="Anything", serialize=_anything),
        }
    ),
)._schema
