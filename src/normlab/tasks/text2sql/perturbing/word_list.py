"""Everyday words and others of the same meaning, in the singular; written for these tests of robustness.

Each line is a word, a colon, and what may stand in its place.
"""

from __future__ import annotations

_LINES = """
account: profile
agent: broker, representative
airline: air carrier
airport: airfield
album: record
amount: sum
animal: creature
apartment: flat
area: zone
arrival: landing
author: writer
award: prize
band: music group
battle: fight, combat
bill: invoice
birthday: day of birth
boat: vessel
book: volume
boss: supervisor
branch: local office
breed: race
brand: make
budget: available money
building: structure
business: firm
campus: university grounds
candidate: applicant
capacity: number of seats
car: automobile
cartoon: animation
category: class
channel: station
charge: fee
chef: cook
actor: performer
address: place of residence
child: kid
citizen: national
citizenship: nationality
city: town
classroom: lecture room
client: buyer
clinic: medical center
club: association
coach: trainer
code: identifier
color: hue
colour: hue
comment: remark
company: firm, enterprise
competition: contest
concert: gig, live show
conductor: maestro
contestant: competitor
continent: landmass
contract: agreement
country: nation
course: class
creator: inventor
customer: client
date: day
death: fatality
degree: diploma
delivery: shipment
department: division
departure: takeoff
description: summary
destination: target place
detail: particular
device: gadget
diploma: degree
director: filmmaker
dish: meal
district: borough
doctor: physician
document: file
dog: hound
driver: motorist
earning: income
email: electronic mail
employee: worker, staff member
engine: motor
episode: installment
event: occasion
fee: charge
feature: characteristic
film: movie
firm: company
flight: plane trip
food: nourishment
friend: buddy, companion
game: match
gender: sex
genre: style
goal: target
grade: school level
guest: visitor
headquarter: head office
height: stature
holiday: vacation
hometown: native town
horse: steed
hospital: clinic
hotel: inn
house: home
image: picture
income: revenue
injury: wound
instructor: teacher
inventory: stock
invoice: bill
item: article
job: occupation
journal: periodical
journalist: reporter
kind: sort
language: tongue
location: place
machine: apparatus
maker: manufacturer
manager: supervisor
match: game
medicine: drug
meeting: gathering
message: note
mountain: peak
movie: film
museum: gallery
nation: country
nationality: citizenship
nickname: pet name
occupation: profession
office: workplace
orchestra: symphonic ensemble
owner: proprietor
painting: canvas
paragraph: passage
parent: mother or father
party: celebration
patient: sick person
payment: remittance
performance: show
pet: house animal
phone: telephone
photo: picture
physician: doctor
picture: image
pilot: aviator
player: competitor
population: number of inhabitants
position: post
product: article
professional: specialist
professor: lecturer
profit: gain
project: undertaking
property: real estate
publisher: publishing house
purchase: acquisition
race: contest
ranking: standing
rating: mark
region: territory
residence: dwelling
restaurant: eatery
result: outcome
river: waterway
road: street
role: function
room: chamber
route: path
salary: wage
school: academy
scientist: researcher
score: mark
semester: term
shop: store
singer: vocalist
size: dimension
song: tune
sport: athletic activity
stadium: arena
staff: personnel
station: stop
store: shop
street: road
student: pupil
supplier: vendor
surname: family name
teacher: instructor
team: squad
template: pattern
tenant: renter
theme: motif
ticket: admission pass
title: heading
tournament: championship
town: city
transcript: academic record
treatment: therapy
trip: journey
type: kind
university: college
vehicle: conveyance
victim: casualty
village: small town
visitor: guest
vote: ballot
wage: salary
website: web page
weight: mass
winner: champion
worker: employee
writer: author
created: made
directed: staged
enrolled: registered
expensive: costly
famous: well known
hired: employed
injured: wounded
killed: slain
located: situated
opened: inaugurated
produced: manufactured
published: issued
released: brought out
spoken: talked
written: authored
"""

SYNONYMS: dict[str, tuple[str, ...]] = {
    word: tuple(other.strip() for other in others.split(","))
    for word, others in (line.split(":") for line in _LINES.strip().splitlines())
}
"""A word -> others of its meaning, in the singular."""
