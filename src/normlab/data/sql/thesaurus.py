"""Everyday words that people use for one another when they speak of tables and columns: "staff" for `employee`.

A model that was trained on questions which name things as the schema does finds nothing under another word. The groups
below give a schema's names further ones, as a data dictionary does, unless a word is already part of some name there.
They are the common nouns of business and public databases, written down and read through by hand; a group
holds words that may stand for each other in such questions, not words that are merely near ("city" is no "country").
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from normlab.data.sql.dictionary import FurtherNames
from normlab.data.sql.schema import Schema, split_words
from normlab.data.text.word_forms import stem, words_of

_GROUPS = """
employee, staff, worker, staff member, personnel
customer, client, buyer, shopper
company, firm, enterprise, corporation, business
supplier, vendor
manufacturer, maker, producer
product, item, article, good, merchandise
order, purchase
payment, transaction
invoice, bill
price, cost
salary, wage, pay, earnings
revenue, turnover, income
amount, sum
quantity, number of units
discount, rebate
debt, money owed
shop, store, outlet
warehouse, depot, storehouse
shipment, delivery, consignment
car, automobile
vehicle, conveyance
plane, airplane, aircraft
ship, vessel
bicycle, bike
truck, lorry
film, movie
song, track, tune
singer, vocalist
band, music group
actor, performer
book, volume
author, writer
newspaper, paper
magazine, periodical
publisher, publishing house
journey, trip
holiday, vacation
hotel, inn
guest, visitor
booking, reservation
flight, air connection
ticket, admission
stadium, arena
match, game
competition, contest, tournament
player, sportsman
team, squad, side
coach, trainer
school, academy
university, college
student, pupil, learner
teacher, instructor
professor, lecturer
course, class, lecture
exam, examination, test
grade, mark
degree, qualification
department, division
manager, head, boss, supervisor
colleague, coworker
job, occupation, profession, post
city, town
country, nation
county, shire
village, hamlet
state, province
street, road
region, area
address, place of residence
hospital, clinic
physician, doctor
patient, sick person
nurse, carer
illness, disease, sickness
medicine, drug, medication
treatment, therapy
appointment, meeting
building, house, structure
apartment, flat
room, chamber
owner, proprietor
tenant, renter, lodger
landlord, lessor
rent, rental fee
person, individual, human
people, persons, individuals
child, kid
wife, husband, spouse
birthday, date of birth, birth date
birth, born
death, died
sex, gender
nationality, citizenship
language, tongue
telephone, phone, telephone number
mail, email, e-mail
picture, photo, photograph
color, colour
size, dimension
weight, mass
height, tallness
length, extent
duration, running time
speed, velocity
start, beginning
end, finish
year, calendar year
name, designation
title, heading
description, explanation
type, kind, sort
category, classification
status, state of affairs
code, identifier
rating, score, evaluation
review, critique
comment, remark
opinion, view
complaint, grievance
problem, issue, trouble
accident, crash
injury, wound
crime, offence, offense
police officer, policeman, cop
soldier, trooper
dog, hound
cat, feline
pet, companion animal
animal, creature
tree, wood plant
meal, dish
restaurant, eatery
ingredient, component
recipe, cooking instruction
drink, beverage
account, profile
loan, credit
bank, financial institution
insurance, coverage
policy, insurance contract
claim, demand
budget, available money
project, undertaking
task, assignment
document, file
device, appliance
machine, apparatus
computer, pc
programmer, software developer
website, web page, internet page
museum, gallery
painting, canvas
artist, painter
exhibition, exhibit, show
concert, gig
festival, fair
mountain, peak
river, stream
station, stop
airport, airfield
airline, air carrier
railway, railroad
driver, chauffeur
passenger, traveler, traveller
member, subscriber
visit, stay
event, happening
location, place, site
capacity, seating
population, inhabitants, number of people
party, political party
election, vote
candidate, applicant
president, head of state
prize, award
medal, decoration
"""


def _read() -> Mapping[str, tuple[str, ...]]:
    """Return the stems of each entry -> the other entries of its groups."""
    others: defaultdict[str, list[str]] = defaultdict(list)
    for line in _GROUPS.strip().splitlines():
        entries = [entry.strip() for entry in line.split(",")]
        for entry in entries:
            others[_key(words_of(entry))] += [other for other in entries if other != entry]
    return {key: tuple(dict.fromkeys(entries)) for key, entries in others.items()}


def _key(words: Sequence[str]) -> str:
    return " ".join(stem(word) for word in words)


_OTHERS = _read()


def further_names(schema: Schema) -> FurtherNames:
    """Return what else people call a schema's tables and columns, by the groups above.

    A whole name gets the others of its group as names, a word of a longer name gets them as parts of it ("unit
    price": "cost"). No word that the schema has in a name of its own is given to another one.
    """
    tables = [(table.natural, split_words(table.name)) for table in schema.tables]
    columns = [(c.natural, split_words(c.name)) if c.table >= 0 else () for c in schema.columns]
    # Large schemas have the same few names of columns in thousands of tables.
    different = dict.fromkeys((*tables, *columns))
    words = {name: words_of(name) for names in different for name in names}
    own = {stem(word) for word in {word for some in words.values() for word in some}}
    whole = {names: tuple(_of_names([words[name] for name in names], own)) for names in different}
    parts = {names: " ".join(_of_parts([words[name] for name in names], own)) for names in different}
    return FurtherNames(
        tuple(whole[names] for names in tables),
        tuple(whole[names] for names in columns),
        tuple(parts[names] for names in tables),
        tuple(parts[names] for names in columns),
        (),
    )


def together(one: FurtherNames, other: FurtherNames | None) -> FurtherNames:
    """Return the names of both."""
    if other is None:
        return one
    return FurtherNames(
        tuple(a + b for a, b in zip(one.tables, other.tables, strict=True)),
        tuple(a + b for a, b in zip(one.columns, other.columns, strict=True)),
        tuple(f"{a} {b}".strip() for a, b in zip(one.table_parts, other.table_parts, strict=True)),
        tuple(f"{a} {b}".strip() for a, b in zip(one.column_parts, other.column_parts, strict=True)),
        one.cells + other.cells,
    )


def _of_names(names: list[list[str]], own: set[str]) -> Iterator[str]:
    for key in dict.fromkeys(map(_key, names)):
        yield from _unused(key, own)


def _of_parts(names: list[list[str]], own: set[str]) -> Iterator[str]:
    for words in dict.fromkeys(map(tuple, names)):
        for word in words if len(words) > 1 else ():
            yield from (entry for entry in _unused(stem(word), own) if " " not in entry)


def _unused(key: str, own: set[str]) -> Iterator[str]:
    """The others of a group of which no word stands in a name of the schema."""
    for entry in _OTHERS.get(key, ()):
        if not own & {stem(word) for word in words_of(entry)}:
            yield entry
