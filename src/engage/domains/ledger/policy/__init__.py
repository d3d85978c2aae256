"""The points policy of a program: all rules of its ledger in one document, in versions that are published.

Says `ledger.policy_published.v1`. Needs members (programs). The kernel reads it by `engage.ledger_policy`
(`sql/39_policy.sql` of the ledger); where none was published the program itself is version 0.
"""
