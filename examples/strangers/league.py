"""A football league: two keys from each match to the teams, declared, and words that stand in no name."""

SCRIPT = """
CREATE TABLE team (id INTEGER PRIMARY KEY, name TEXT, city TEXT, founded INTEGER);
CREATE TABLE player (id INTEGER PRIMARY KEY, name TEXT, position TEXT, born TEXT, team_id INTEGER REFERENCES team (id));
CREATE TABLE match (id INTEGER PRIMARY KEY, home_team INTEGER REFERENCES team (id),
 away_team INTEGER REFERENCES team (id),
 played TEXT, home_goals INTEGER, away_goals INTEGER, attendance INTEGER);
CREATE TABLE goal (id INTEGER PRIMARY KEY, match_id INTEGER REFERENCES match (id),
 player_id INTEGER REFERENCES player (id), minute INTEGER);
INSERT INTO team VALUES (1, 'Rovers', 'Cork', 1901), (2, 'Harps', 'Sligo', 1954), (3, 'United', 'Galway', 1937),
 (4, 'Celtic', 'Bray', 1942);
INSERT INTO player VALUES (1, 'Dara Quinn', 'keeper', '1998-02-11', 1), (2, 'Finn Shea', 'striker', '2001-07-30', 1),
 (3, 'Ronan Daly', 'striker', '1995-12-05', 2), (4, 'Cian Burke', 'defender', '1999-03-18', 3),
 (5, 'Eoin Flood', 'midfielder', '2002-10-01', 3);
INSERT INTO match VALUES (1, 1, 2, '2023-09-02', 2, 0, 1800), (2, 2, 3, '2023-09-16', 1, 1, 950),
 (3, 3, 1, '2024-02-10', 0, 3, 2400), (4, 1, 3, '2024-02-24', 1, 1, 2100);
INSERT INTO goal VALUES (1, 1, 2, 12), (2, 1, 2, 77), (3, 2, 3, 5), (4, 2, 5, 88), (5, 3, 2, 20), (6, 3, 2, 33),
 (7, 3, 2, 90), (8, 4, 2, 45), (9, 4, 4, 60);
"""

QUESTIONS = (
    ("How many teams are there?", "SELECT count(*) FROM team"),
    ("What is the oldest team?", "SELECT name FROM team ORDER BY founded LIMIT 1"),
    ("Which team is from Sligo?", "SELECT name FROM team WHERE city = 'Sligo'"),
    ("List the names of all strikers.", "SELECT name FROM player WHERE position = 'striker'"),
    (
        "How many players does each team have?",
        "SELECT t.name, count(*) FROM team t JOIN player p ON p.team_id = t.id GROUP BY t.id",
    ),
    ("Which teams have no players?", "SELECT name FROM team WHERE id NOT IN (SELECT team_id FROM player)"),
    ("What is the highest attendance of a match?", "SELECT max(attendance) FROM match"),
    ("What is the average attendance?", "SELECT avg(attendance) FROM match"),
    ("How many matches were played in February 2024?", "SELECT count(*) FROM match WHERE played LIKE '2024-02%'"),
    ("How many matches were played in 2023?", "SELECT count(*) FROM match WHERE played LIKE '2023%'"),
    (
        "How many goals did Finn Shea score?",
        "SELECT count(*) FROM goal g JOIN player p ON p.id = g.player_id WHERE p.name = 'Finn Shea'",
    ),
    (
        "Which player scored the most goals?",
        "SELECT p.name FROM goal g JOIN player p ON p.id = g.player_id GROUP BY p.id ORDER BY count(*) DESC LIMIT 1",
    ),
    ("Which players have never scored?", "SELECT name FROM player WHERE id NOT IN (SELECT player_id FROM goal)"),
    (
        "How many matches did Rovers play as the home team?",
        "SELECT count(*) FROM match m JOIN team t ON t.id = m.home_team WHERE t.name = 'Rovers'",
    ),
    (
        "How many matches did United play as the away team?",
        "SELECT count(*) FROM match m JOIN team t ON t.id = m.away_team WHERE t.name = 'United'",
    ),
    (
        "What are the names of the players of Rovers?",
        "SELECT p.name FROM player p JOIN team t ON t.id = p.team_id WHERE t.name = 'Rovers'",
    ),
    (
        "In which city does Cian Burke play?",
        "SELECT city FROM player p JOIN team t ON t.id = p.team_id WHERE p.name = 'Cian Burke'",
    ),
    ("Which positions do the players have?", "SELECT DISTINCT position FROM player"),
    ("How many goals were scored after the minute 80?", "SELECT count(*) FROM goal WHERE minute > 80"),
    ("List the teams by the year in which they were founded.", "SELECT name FROM team ORDER BY founded"),
)
