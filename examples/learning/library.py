"""A library's database and 120 pairs, two wordings of each of 60 queries: `python examples/learning/library.py FOLDER`.

It writes FOLDER/library.sqlite and FOLDER/pairs.csv, to try `normlab ask --learn` on. `tools/learned_confidence.py`
measures with them how sure a model is that learned from pairs.
"""

from __future__ import annotations

import csv
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

SCRIPT = """
CREATE TABLE author (author_id INTEGER PRIMARY KEY, name TEXT, country TEXT);
CREATE TABLE branch (branch_id INTEGER PRIMARY KEY, name TEXT, city TEXT, floors INTEGER);
CREATE TABLE member (member_id INTEGER PRIMARY KEY, name TEXT, city TEXT, age INTEGER, joined TEXT);
CREATE TABLE book (book_id INTEGER PRIMARY KEY, title TEXT, author_id INTEGER REFERENCES author, genre TEXT,
 pages INTEGER, year INTEGER);
CREATE TABLE loan (loan_id INTEGER PRIMARY KEY, member_id INTEGER REFERENCES member, book_id INTEGER REFERENCES book,
 branch_id INTEGER REFERENCES branch, lent_on TEXT, fine REAL);
INSERT INTO author VALUES (1, 'Ines Moll', 'Spain'), (2, 'Karl Thorn', 'Germany'), (3, 'Aoife Dunne', 'Ireland'),
 (4, 'Bea Novak', 'Germany'), (5, 'Tom Okoye', 'Nigeria');
INSERT INTO branch VALUES (1, 'Harbour', 'Lund', 3), (2, 'Old Town', 'Lund', 1), (3, 'Station', 'Malmo', 2);
INSERT INTO member VALUES (1, 'Nora Falk', 'Lund', 34, '2019-03-02'), (2, 'Emil Rask', 'Malmo', 19, '2021-07-15'),
 (3, 'Siri Holm', 'Lund', 62, '2018-01-20'), (4, 'Otto Vik', 'Malmo', 41, '2022-10-05'),
 (5, 'Lea Brandt', 'Ystad', 27, '2023-02-11'), (6, 'Jon Aas', 'Lund', 55, '2020-05-30');
INSERT INTO book VALUES (1, 'Salt Roads', 1, 'novel', 310, 1998), (2, 'The Quiet Engine', 2, 'science', 220, 2011),
 (3, 'Winter Bees', 3, 'poetry', 96, 2005), (4, 'Iron Gardens', 2, 'novel', 480, 2017),
 (5, 'A Short Tide', 3, 'novel', 180, 2020), (6, 'Numbers at Night', 4, 'science', 265, 1989),
 (7, 'Red Lagoon', 5, 'crime', 350, 2014), (8, 'Glass Harvest', 5, 'crime', 402, 2019);
INSERT INTO loan VALUES (1, 1, 1, 1, '2023-01-09', 0), (2, 1, 4, 1, '2023-02-14', 2.5), (3, 2, 2, 3, '2023-02-20', 0),
 (4, 3, 3, 2, '2023-03-01', 1), (5, 3, 7, 1, '2023-03-18', 0), (6, 4, 7, 3, '2023-04-02', 4),
 (7, 6, 5, 2, '2023-04-25', 0), (8, 1, 8, 1, '2023-05-06', 0), (9, 2, 7, 3, '2023-05-30', 7.5),
 (10, 6, 1, 1, '2023-06-11', 0);
"""

_JOINS = {
    "{lent}": "loan JOIN book ON loan.book_id = book.book_id",
    "{lends}": "loan JOIN member ON loan.member_id = member.member_id",
    "{wrote}": "book JOIN author ON book.author_id = author.author_id",
    "{placed}": "loan JOIN branch ON loan.branch_id = branch.branch_id",
}
WORDINGS = """
SELECT count(*) FROM book
  How many books are there? | What is the number of books?
SELECT count(*) FROM member
  How many members does the library have? | Count the readers.
SELECT count(*) FROM loan
  How many loans were made? | What is the total number of loans?
SELECT count(*) FROM branch
  How many branches are there? | Count all branches.
SELECT title FROM book
  List all titles. | What are the titles of the books?
SELECT name FROM author
  Who are the authors? | List the names of all authors.
SELECT name, city FROM branch
  Where are the branches? | Give name and city of each branch.
SELECT DISTINCT genre FROM book
  Which genres are there? | What different genres do the books have?
SELECT DISTINCT city FROM member
  In which cities do members live? | List the different cities of members.
SELECT DISTINCT country FROM author
  Which countries do authors come from? | List the authors' countries.
SELECT title FROM book WHERE genre = 'novel'
  Which books are novels? | List the titles of novels.
SELECT title FROM book WHERE genre = 'crime'
  Show crime books. | What are the titles of books of genre crime?
SELECT title FROM book WHERE pages > 300
  Which books have more than 300 pages? | Titles longer than 300 pages?
SELECT title FROM book WHERE pages < 200
  Which books have fewer than 200 pages? | Which books are short, below 200 pages?
SELECT title FROM book WHERE year > 2010
  Which books came out after 2010? | List titles of books from after 2010.
SELECT title FROM book WHERE year < 2000
  Which books are from before 2000? | What titles have a year below 2000?
SELECT count(*) FROM book WHERE genre = 'science'
  How many science books are there? | Count the books about science.
SELECT count(*) FROM book WHERE pages >= 250
  How many books have at least 250 pages? | Count books of 250 pages or more.
SELECT name FROM member WHERE city = 'Lund'
  Which members live in Lund? | List the names of readers from Lund.
SELECT name FROM member WHERE city = 'Malmo'
  Who lives in Malmo? | Names of members in the city Malmo?
SELECT count(*) FROM member WHERE city = 'Lund'
  How many members are from Lund? | Count the members who live in Lund.
SELECT name FROM member WHERE age > 40
  Which members are older than 40? | Who is over 40?
SELECT name FROM member WHERE age < 30
  Which members are younger than 30? | List members under 30.
SELECT avg(age) FROM member
  What is the average age of members? | How old are members on average?
SELECT max(age) FROM member
  How old is the oldest member? | What is the highest age of a member?
SELECT min(age) FROM member
  What is the lowest age of all members? | How old is the youngest member?
SELECT avg(pages) FROM book
  What is the average number of pages? | How many pages does a book have on average?
SELECT max(pages) FROM book
  How many pages does the longest book have? | What is the largest number of pages?
SELECT sum(fine) FROM loan
  What is the sum of all fines? | How much do the fines come to in total?
SELECT max(fine) FROM loan
  What is the highest fine? | How large was the largest fine?
SELECT name FROM member ORDER BY age DESC LIMIT 1
  Who is the oldest member? | Name of the reader with the highest age?
SELECT name FROM member ORDER BY age LIMIT 1
  Who is the youngest member? | Name the member of the lowest age.
SELECT title FROM book ORDER BY pages DESC LIMIT 1
  Which book is the longest? | What is the title with the most pages?
SELECT title FROM book ORDER BY pages LIMIT 1
  Which book has the fewest pages? | What is the shortest book?
SELECT title FROM book ORDER BY year DESC LIMIT 1
  What is the newest book? | Which title came out last?
SELECT title FROM book ORDER BY year LIMIT 1
  What is the oldest book? | Which title has the earliest year?
SELECT title FROM book ORDER BY year
  Show the titles by year. | List the books from the oldest to the newest.
SELECT name FROM branch ORDER BY floors DESC LIMIT 1
  Which branch has the most floors? | What is the tallest branch?
SELECT genre, count(*) FROM book GROUP BY genre
  How many books are there of each genre? | Count the books by genre.
SELECT city, count(*) FROM member GROUP BY city
  How many members live in each city? | Count readers per city.
SELECT country, count(*) FROM author GROUP BY country
  How many authors are from each country? | Count authors by country.
SELECT city, avg(age) FROM member GROUP BY city
  What is the average age in each city? | How old are members on average by city?
SELECT genre, avg(pages) FROM book GROUP BY genre
  What is the average number of pages of each genre? | Mean pages per genre?
SELECT genre FROM book GROUP BY genre HAVING count(*) > 2
  Which genres have more than 2 books? | List genres of over two books.
SELECT city FROM member GROUP BY city ORDER BY count(*) DESC LIMIT 1
  In which city do most members live? | Which city has the most readers?
SELECT title FROM {wrote} WHERE author.name = 'Karl Thorn'
  Which books did Karl Thorn write? | Titles by Karl Thorn?
SELECT title FROM {wrote} WHERE author.name = 'Tom Okoye'
  What has Tom Okoye written? | List the books of the author Tom Okoye.
SELECT count(*) FROM {wrote} WHERE author.name = 'Aoife Dunne'
  How many books did Aoife Dunne write? | Count the books by Aoife Dunne.
SELECT title FROM {wrote} WHERE country = 'Germany'
  Which books are by authors from Germany? | Titles of German authors' books?
SELECT author.name, count(*) FROM {wrote} GROUP BY author.author_id
  How many books did each author write? | Count the books of each author.
SELECT author.name FROM {wrote} WHERE title = 'Winter Bees'
  Who wrote Winter Bees? | Who is the author of Winter Bees?
SELECT author.name FROM {wrote} WHERE title = 'Red Lagoon'
  Who is the author of Red Lagoon? | Name of who wrote Red Lagoon?
SELECT title FROM {lent} GROUP BY book.book_id ORDER BY count(*) DESC LIMIT 1
  Which book was lent most often? | What title has the most loans?
SELECT DISTINCT title FROM {lent} WHERE fine > 2
  Which books have loans with a fine over 2? | Titles whose loans had a fine above 2?
SELECT count(*) FROM {lends} WHERE member.name = 'Nora Falk'
  How many loans did Nora Falk have? | How often did Nora Falk borrow?
SELECT sum(fine) FROM {lends} WHERE member.name = 'Emil Rask'
  What fines did Emil Rask pay in total? | Sum of the fines of Emil Rask?
SELECT member.name, count(*) FROM {lends} GROUP BY member.member_id
  How many loans does each member have? | Count the loans of each reader.
SELECT count(*) FROM {placed} WHERE branch.name = 'Harbour'
  How many loans were made at Harbour? | Count the loans of the branch Harbour.
SELECT branch.name, count(*) FROM {placed} GROUP BY branch.branch_id
  How many loans did each branch make? | Loans per branch?
SELECT name FROM member WHERE member_id NOT IN (SELECT member_id FROM loan)
  Which members never borrowed a book? | Who has no loans?
"""


def _pairs() -> Iterator[tuple[str, str]]:
    """Return (question, query) of each line below a query."""
    sql = ""
    for line in WORDINGS.strip().splitlines():
        if line.startswith("SELECT"):
            sql = line
            for name, join in _JOINS.items():
                sql = sql.replace(name, join)
        else:
            yield from ((question.strip(), sql) for question in line.split(" | "))


PAIRS = tuple(_pairs())


def write(folder: Path) -> tuple[Path, Path]:
    """Write the database and the pairs into a folder; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    database, pairs = folder / "library.sqlite", folder / "pairs.csv"
    database.unlink(missing_ok=True)
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(SCRIPT)
    with pairs.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("question", "sql"))
        writer.writerows(PAIRS)
    return database, pairs


if __name__ == "__main__":
    print(*write(Path(sys.argv[1] if len(sys.argv) > 1 else ".")), sep="\n")
