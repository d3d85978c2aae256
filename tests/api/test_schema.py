"""The schema is committed as `schema.graphql`, described whole, and made after the same pattern everywhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLUnionType,
    build_schema,
    get_named_type,
    is_introspection_type,
    is_list_type,
    is_non_null_type,
    is_specified_scalar_type,
)
from strawberry.types import get_object_definition

from engage.api import schema as api
from engage.api.ledger import LedgerMutation

FILE = Path(__file__).parents[2] / "schema.graphql"

PASCAL_CASE = re.compile(r"(?:[A-Z][a-z0-9]+)+")
CAMEL_CASE = re.compile(r"[a-z][a-z0-9]*(?:[A-Z][a-z0-9]*)*")
UPPER_CASE = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*")


@pytest.fixture(scope="module")
def sdl() -> str:
    return api.build_schema().as_str()


@pytest.fixture(scope="module")
def schema(sdl: str) -> GraphQLSchema:
    return build_schema(sdl)


def own_types(schema: GraphQLSchema) -> list[GraphQLNamedType]:
    return [
        one
        for one in schema.type_map.values()
        if not is_introspection_type(one) and not is_specified_scalar_type(one)
    ]


def with_fields(
    schema: GraphQLSchema,
) -> Iterator[tuple[GraphQLObjectType | GraphQLInterfaceType, str, GraphQLField]]:
    for type_ in own_types(schema):
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
            for name, field in type_.fields.items():
                yield type_, name, field


def parts(schema: GraphQLSchema) -> Iterator[tuple[str, str | None]]:
    """Everything that can have a description, with the one that it has."""
    for type_ in own_types(schema):
        yield type_.name, type_.description
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
            for name, field in type_.fields.items():
                yield f"{type_.name}.{name}", field.description
                for argument_name, argument in field.args.items():
                    yield f"{type_.name}.{name}({argument_name}:)", argument.description
        elif isinstance(type_, GraphQLInputObjectType):
            for name, input_field in type_.fields.items():
                yield f"{type_.name}.{name}", input_field.description
        elif isinstance(type_, GraphQLEnumType):
            for name, value in type_.values.items():
                yield f"{type_.name}.{name}", value.description


def test_the_committed_schema_is_that_of_the_code(sdl: str) -> None:
    assert FILE.read_text(encoding="utf-8") == sdl + "\n", "run `make schema` and look at what changes for clients"


def test_everything_has_a_description(schema: GraphQLSchema) -> None:
    assert [name for name, description in parts(schema) if not description] == []


def test_descriptions_are_sentences_of_their_own(schema: GraphQLSchema) -> None:
    odd = [name for name, text in parts(schema) if text and (text != text.strip() or not text.endswith((".", ")")))]
    assert odd == []


def arguments_and_inputs(schema: GraphQLSchema) -> Iterator[tuple[str, str, GraphQLArgument | GraphQLInputField]]:
    """Where it stands, name and definition of whatever clients fill in."""
    for type_, name, field in with_fields(schema):
        yield from ((f"{type_.name}.{name}", key, argument) for key, argument in field.args.items())
    for given in own_types(schema):
        if isinstance(given, GraphQLInputObjectType):
            yield from ((given.name, key, one) for key, one in given.fields.items())


def named_oddly(schema: GraphQLSchema) -> set[str]:
    """What has no name after the pattern of its kind."""
    types = own_types(schema)
    odd = {one.name for one in types if not PASCAL_CASE.fullmatch(one.name)}
    odd |= {f"{type_.name}.{name}" for type_, name, _ in with_fields(schema) if not CAMEL_CASE.fullmatch(name)}
    odd |= {f"{place}.{name}" for place, name, _ in arguments_and_inputs(schema) if not CAMEL_CASE.fullmatch(name)}
    enums = [one for one in types if isinstance(one, GraphQLEnumType)]
    odd |= {f"{one.name}.{value}" for one in enums for value in one.values if not UPPER_CASE.fullmatch(value)}
    for kind, ending in ((GraphQLInputObjectType, "Input"), (GraphQLUnionType, "Result")):
        odd |= {one.name for one in types if isinstance(one, kind) and not one.name.endswith(ending)}
    return odd


def vaguely_deprecated(schema: GraphQLSchema) -> set[str]:
    """What is deprecated without a sentence that says what to use instead, by a name of this schema."""
    reasons = {f"{type_.name}.{name}": field.deprecation_reason for type_, name, field in with_fields(schema)}
    reasons |= {f"{place}.{name}": one.deprecation_reason for place, name, one in arguments_and_inputs(schema)}
    for type_ in own_types(schema):
        if isinstance(type_, GraphQLEnumType):
            reasons |= {f"{type_.name}.{name}": value.deprecation_reason for name, value in type_.values.items()}
    known = {part for place in reasons for part in place.split(".")} | set(schema.type_map)
    return {
        place
        for place, reason in reasons.items()
        if reason is not None and not (reason.endswith(".") and known.intersection(re.findall(r"`(\w+)`", reason)))
    }


def test_names_follow_their_patterns(schema: GraphQLSchema) -> None:
    assert named_oddly(schema) == set()


def test_what_is_deprecated_says_what_to_use_instead(schema: GraphQLSchema) -> None:
    assert vaguely_deprecated(schema) == set()


def test_odd_names_and_vague_reasons_are_found() -> None:
    bad = build_schema(
        """
        type Query { good: Int  Bad: int_type  from(Argument: Int, other: Form): HTTPThing
          old: Int @deprecated(reason: "Use `good`.")  older: Int @deprecated  oldest: Int @deprecated(reason: "Use `x`.") }
        enum int_type { ONE two_three  THREE @deprecated(reason: "use `ONE`") }
        input Form { Field: Int }
        type HTTPThing { id: ID! }
        union Answer = HTTPThing
        """  # noqa: E501
    )
    assert named_oddly(bad) == {
        "Query.Bad", "int_type", "Query.from.Argument", "int_type.two_three", "Form", "Form.Field", "HTTPThing",
        "Answer",
    }  # fmt: skip
    assert vaguely_deprecated(bad) == {"Query.older", "Query.oldest", "int_type.THREE"}


def test_payloads_and_results_belong_to_a_mutation(schema: GraphQLSchema) -> None:
    assert schema.mutation_type is not None
    titles = {name[0].upper() + name[1:] for name in schema.mutation_type.fields}
    payloads = {one.name for one in own_types(schema) if one.name.endswith("Payload")}
    unions = {one.name for one in own_types(schema) if isinstance(one, GraphQLUnionType)}
    assert payloads == {f"{title}Payload" for title in titles}
    assert unions == {f"{title}Result" for title in titles}


def test_what_has_a_global_id_is_a_node(schema: GraphQLSchema) -> None:
    with_ids = {type_.name for type_, name, field in with_fields(schema) if (name, str(field.type)) == ("id", "ID!")}
    node = schema.type_map["Node"]
    assert isinstance(node, GraphQLInterfaceType)
    nodes = {one.name for one in schema.get_possible_types(node)}
    assert {one for one in with_ids if not one.endswith("Payload")} == nodes | {"Node"}


def test_no_figure_is_a_float(schema: GraphQLSchema) -> None:
    assert "Float" not in schema.type_map


def test_lists_and_what_they_hold_are_never_null(schema: GraphQLSchema) -> None:
    nullable = []
    for type_, name, field in with_fields(schema):
        bare = field.type.of_type if is_non_null_type(field.type) else field.type
        is_path = (name, str(field.type)) == ("path", "[String!]")  # null where no field of the input is meant
        is_nodes = (name, str(field.type)) == ("nodes", "[Node]!")  # null in the place of an id that is refused
        if is_list_type(bare) and not is_path and not is_nodes and not str(field.type).endswith("!]!"):
            nullable.append(f"{type_.name}.{name}: {field.type}")
    assert nullable == []


def test_each_mutation_takes_its_input_and_answers_its_result(schema: GraphQLSchema) -> None:
    assert schema.mutation_type is not None
    for name, field in schema.mutation_type.fields.items():
        title = name[0].upper() + name[1:]
        assert {key: str(argument.type) for key, argument in field.args.items()} == {"input": f"{title}Input!"}, name
        assert str(field.type) == f"{title}Result!", name
        result = schema.type_map[f"{title}Result"]
        assert isinstance(result, GraphQLUnionType)
        first, *problems = result.types
        assert first.name == f"{title}Payload"
        assert [one.name for one in problems if schema.type_map["Problem"] not in one.interfaces] == []
        assert {"InvalidInput", "Forbidden", "OutcomeUnknown"} <= {one.name for one in problems}, name


def test_each_problem_has_a_code_of_its_own(schema: GraphQLSchema) -> None:
    problem, codes = schema.type_map["Problem"], schema.type_map["ProblemCode"]
    assert isinstance(problem, GraphQLInterfaceType)
    assert isinstance(codes, GraphQLEnumType)
    kinds = schema.get_possible_types(problem)
    as_code = {
        "".join(f"_{char}" if char.isupper() else char for char in kind.name).lstrip("_").upper() for kind in kinds
    }
    assert as_code == set(codes.values)


def test_one_selection_can_ask_for_all_members_of_a_union(schema: GraphQLSchema) -> None:
    """Fields of one name are of one type, so that no client has to rename them."""
    clashing = []
    for union in own_types(schema):
        if isinstance(union, GraphQLUnionType):
            types: dict[str, set[str]] = {}
            for member in union.types:
                for name, field in member.fields.items():
                    types.setdefault(name, set()).add(str(field.type))
            clashing += [f"{union.name}.{name}: {found}" for name, found in types.items() if len(found) > 1]
    assert clashing == []


def test_moving_points_and_publishing_take_a_key(schema: GraphQLSchema) -> None:
    keyed = {
        name
        for name, type_ in schema.type_map.items()
        if isinstance(type_, GraphQLInputObjectType) and "idempotencyKey" in type_.fields
    }
    ledger = get_object_definition(LedgerMutation, strict=True)
    moving = {"".join(word.title() for word in one.name.split("_")) for one in ledger.fields}
    their_own_key = {"ApproveAdjustment", "RejectAdjustment"}  # a correction is decided once
    others = {"PublishPointsPolicy", "RequestBulkPoints"}
    assert keyed == {f"{name}Input" for name in (moving - their_own_key) | others}
    order = schema.type_map["RecordPurchaseInput"]
    assert isinstance(order, GraphQLInputObjectType)
    assert isinstance(order.fields["orderNo"].type, GraphQLNonNull)  # the key of an order


def test_connections_are_alike(schema: GraphQLSchema) -> None:
    connections = {name for name in schema.type_map if name.endswith("Connection")}
    assert connections
    for name in connections:
        kind = name.removesuffix("Connection")
        type_, edge = schema.type_map[name], schema.type_map[f"{kind}Edge"]
        assert isinstance(type_, GraphQLObjectType)
        assert isinstance(edge, GraphQLObjectType)
        assert {key: str(field.type) for key, field in type_.fields.items()} == {
            "edges": f"[{kind}Edge!]!",
            "pageInfo": "PageInfo!",
            "totalCount": "Int",
        }
        assert {key: str(field.type) for key, field in edge.fields.items()} == {
            "cursor": "String!",
            "node": f"{kind}!",
        }
    page_info = schema.type_map["PageInfo"]
    assert isinstance(page_info, GraphQLObjectType)
    assert {key: str(field.type) for key, field in page_info.fields.items()} == {
        "hasNextPage": "Boolean!",
        "hasPreviousPage": "Boolean!",
        "startCursor": "String",
        "endCursor": "String",
    }
    for parent, name, field in with_fields(schema):
        if get_named_type(field.type).name in connections:
            asked = {key: str(field.args[key].type) for key in ("first", "after", "last", "before")}
            expected = {"first": "Int", "after": "String", "last": "Int", "before": "String"}
            assert asked == expected, f"{parent.name}.{name}"
            assert str(field.type).endswith("Connection!"), f"{parent.name}.{name}"


def test_what_needs_a_role_says_so(schema: GraphQLSchema) -> None:
    silent = []
    for root in (schema.query_type, schema.mutation_type, schema.subscription_type):
        assert root is not None
        silent += [
            f"{root.name}.{name}"
            for name, field in root.fields.items()
            if not any(word in (field.description or "") for word in ("Role:", "Roles:", "Any role."))
        ]
    assert silent == []


def test_scalars_say_how_they_are_written(schema: GraphQLSchema) -> None:
    scalars = {one.name for one in own_types(schema) if isinstance(one, GraphQLScalarType)}
    assert scalars == {"Amount", "Date", "DateTime", "Points"}
