"""Names of tables and columns in whole words: `tblCust` is "customer", `ord_qty` "order quantity".

Databases abbreviate, questions do not. Only abbreviations that stand for one word are expanded, and only as a word of
their own in a name; the name itself is matched as well, so nothing is lost.
"""

from __future__ import annotations

_PREFIXES = frozenset(("tbl", "tb", "fk", "pk"))
"""First words that say what a thing is in the database, not what it is about."""
_SUFFIXES = frozenset(("hdr", "header", "mst", "tbl"))
"""Last words of tables that say the same."""
_LAST = {"no": "number", "nr": "number", "cd": "code", "nm": "name", "dt": "date", "ts": "time", "tm": "time"}
"""Abbreviations as the last of several words only."""
_LINES = """
acct account; addr address; amt amount; appt appointment; approx approximate; attr attribute; auth author; avg
average; bal balance; bday birthday; bldg building; cnt count; cntry country; crs course; ctry country; cust
customer; dept department; descr description; desc description; dest destination; dob date of birth; dtl detail; emp
employee; fname first name; freq frequency; grp group; hdr header; inv invoice; itm item; lang language; lname last
name; loc location; maint maintenance; manuf manufacturer; memb member; mfr manufacturer; mgr manager; mth month;
num number; ord order; org organization; pct percent; pmt payment; prod product; proj project; pub publication; qty
quantity; sal salary; shpmt shipment; specs specifications; stu student; supp supplier; tel telephone; tot total;
trx transaction; txn transaction; usr user; veh vehicle; vend vendor; wgt weight; whse warehouse; wt weight; yr year
"""
_WORDS = {one.split()[0]: one.split(maxsplit=1)[1] for one in " ".join(_LINES.split()).split("; ")}


def in_whole_words(words: str, *, table: bool = False) -> str:
    """Return a name's words, in lower case, with abbreviations expanded and the prefix of a table left out.

    >>> in_whole_words("tbl cust"), in_whole_words("ord no"), in_whole_words("no")
    ('customer', 'order number', 'no')
    >>> in_whole_words("ord hdr", table=True)
    'order'
    """
    parts = words.split()
    if len(parts) > 1 and parts[0] in _PREFIXES:
        parts = parts[1:]
    if table and len(parts) > 1 and parts[-1] in _SUFFIXES:
        parts = parts[:-1]
    whole = [_WORDS.get(part, part) for part in parts]
    if len(whole) > 1:
        whole[-1] = _LAST.get(parts[-1], whole[-1])
    return " ".join(whole)
