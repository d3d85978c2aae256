"""What the role of gateways and workers may do in the database: read, add, and change what is not history.

`engage db migrate` works as the owner, who made the tables and could drop them. Whoever takes over a gateway has its
role, which the database itself keeps from changing what was posted, triggers or no triggers (docs/adr/0020).
"""

from __future__ import annotations

from asyncpg.connection import Connection

from engage.base import db
from engage.base.errors import Unavailable

# Verbs are bits of the type of a trigger: 8 is DELETE, 16 is UPDATE. What it refuses to everyone is not granted.
_OURS = """
    SELECT c.oid, c.oid::regclass::text AS name, CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind,
           CASE c.relkind WHEN 'S' THEN '{USAGE}'::text[]
           ELSE ARRAY['SELECT', 'INSERT']
             || CASE WHEN h.refused & 16 <> 0 THEN '{}'::text[] ELSE '{UPDATE}' END
             || CASE WHEN h.refused & 8 <> 0 THEN '{}'::text[] ELSE '{DELETE}' END END AS granted
      FROM pg_class c
      LEFT JOIN (SELECT tgrelid, bit_or(tgtype) AS refused FROM pg_trigger
                  WHERE tgfoid = 'engage.refuse_change'::regproc GROUP BY tgrelid) AS h ON h.tgrelid = c.oid
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'S')
       AND c.relname NOT LIKE 'tortoise_migrations%' AND pg_has_role(c.relowner, 'USAGE')
"""

# PostgreSQL lets a role act as any that it is a member of, so their faults are its own.
_MAY_ACT_AS = """
    SELECT m.*, m.oid = r.oid AS itself FROM pg_roles r JOIN pg_roles m ON pg_has_role(r.oid, m.oid, 'MEMBER')
     WHERE r.rolname = $1
"""

_FAULT = f"""
    SELECT fault, rolname FROM (
      SELECT m.rolname, m.itself,
             CASE WHEN m.rolsuper THEN 'is a superuser'
                  WHEN m.oid = current_user::regrole THEN 'is the role that migrates'
                  WHEN m.rolcreaterole THEN 'may make roles'
                  WHEN EXISTS (
                    SELECT FROM pg_shdepend o JOIN pg_database d ON d.datname = current_database()
                     WHERE o.refclassid = 'pg_authid'::regclass AND o.refobjid = m.oid AND o.deptype = 'o'
                       AND (o.dbid = d.oid OR (o.classid = 'pg_database'::regclass AND o.objid = d.oid))
                  ) THEN 'owns something in this database' END AS fault
        FROM ({_MAY_ACT_AS}) AS m
    ) AS found WHERE fault IS NOT NULL OR itself ORDER BY fault IS NULL, itself DESC, rolname LIMIT 1
"""  # noqa: S608 -- no value is pasted in

_GRANTS = f"""
    SELECT format(
      'REVOKE ALL ON SCHEMA public, engage FROM %1$I; GRANT USAGE ON SCHEMA public, engage TO %1$I;'
      'REVOKE ALL ON ALL TABLES IN SCHEMA engage FROM %1$I; GRANT SELECT ON ALL TABLES IN SCHEMA engage TO %1$I;'
      'REVOKE ALL ON ALL ROUTINES IN SCHEMA engage FROM %1$I;'
      'GRANT EXECUTE ON ALL ROUTINES IN SCHEMA engage TO %1$I;',
      $1::text
    ) || string_agg(format(
      'REVOKE ALL ON %2$s %3$s FROM %1$I; GRANT %4$s ON %2$s %3$s TO %1$I;',
      $1::text, kind, name, array_to_string(granted, ', ')
    ), '')
      FROM ({_OURS}) AS ours
"""  # noqa: S608 -- names are quoted by the database

_TOO_MUCH = f"""
    WITH m AS ({_MAY_ACT_AS})
    SELECT format('%s ON %s', verb, t.name)
      FROM m, ({_OURS}) AS t, unnest('{{UPDATE,DELETE,TRUNCATE,TRIGGER}}'::text[]) AS verb
     WHERE t.kind = 'TABLE' AND verb <> ALL (t.granted)
       AND CASE verb WHEN 'UPDATE' THEN has_any_column_privilege(m.oid, t.oid, verb)
                     ELSE has_table_privilege(m.oid, t.oid, verb) END
    UNION SELECT format('CREATE ON SCHEMA %s', s) FROM m, unnest('{{public,engage}}'::text[]) AS s
           WHERE has_schema_privilege(m.oid, s, 'CREATE')
    UNION SELECT format('CREATE ON DATABASE %I', d) FROM m, current_database() AS d
           WHERE has_database_privilege(m.oid, d, 'CREATE')
     ORDER BY 1
"""  # noqa: S608 -- no value is pasted in


async def check_role(connection: Connection, role: str) -> None:
    """See that `role` is there and can be kept from history: what owns a table may do anything with it.

    Raises Unavailable with what to do when it is missing, a superuser, the owner of something, or one who could
    become such.
    """
    found = await connection.fetchrow(_FAULT, role)
    if found is None:
        raise Unavailable(
            f"There is no role {role}, which ENGAGE_DATABASE_ROLE names. Make it, as one who may make roles:"
            f" CREATE ROLE {role} LOGIN PASSWORD '…'"
        )
    fault, through = found
    if fault is not None:
        member = "" if through == role else f" as a member of {through}"
        raise Unavailable(
            f"The role {role}, which ENGAGE_DATABASE_ROLE names, {fault}{member}: gateways and workers need one that"
            " can be kept from changing history. Name another, which owns nothing and is a member of no such role;"
            " make it, as one who may make roles: CREATE ROLE engage_app LOGIN PASSWORD '…'"
        )


async def grant(connection: Connection, role: str) -> None:
    """Give `role` what gateways and workers need, and take from it what else it was given.

    Belongs into a transaction, with the making of functions if they are made, so that no process sees it in between.
    Raises Unavailable when PUBLIC, or a role that it is a member of, lets it do more than that.
    """
    await connection.execute(await connection.fetchval(_GRANTS, role))
    left = [row[0] for row in await connection.fetch(_TOO_MUCH, role)]
    if left:
        raise Unavailable(
            f"PUBLIC, or a role that {role} is a member of, lets it do more than gateways and workers need:"
            f" {', '.join(left)}. REVOKE that from them, then run `engage db migrate` again."
        )


async def may_change_history() -> bool:
    """Whether the role of this process could change what was posted; False too before the tables are there."""
    return bool(
        await db.fetch_value("SELECT has_any_column_privilege(to_regclass('public.transfers')::oid, 'UPDATE')")
    )
