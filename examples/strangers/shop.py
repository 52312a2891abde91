"""A small shop's database as one meets it: no declared keys, short and odd names, dates as text."""

SCRIPT = """
CREATE TABLE tblCust (CustNo INTEGER, "Full Name" TEXT, Town TEXT, Since TEXT);
CREATE TABLE Ord_Hdr (OrdNo INTEGER, CustNo INTEGER, PlacedOn TEXT, Paid TEXT);
CREATE TABLE ord_line (LineNo INTEGER, OrdNo INTEGER, ProdCode TEXT, Qty INTEGER);
CREATE TABLE Prod (ProdCode TEXT, Descr TEXT, UnitPrice REAL, Colour TEXT);
INSERT INTO tblCust VALUES
 (1, 'Mara Lind', 'Bergen', '2021-04-02'), (2, 'Oke Dunn', 'Oslo', '2022-11-19'),
 (3, 'Pia Roth', 'Bergen', '2023-01-30'),
 (4, 'Sam Ito', 'Turku', '2023-06-11'), (5, 'Ulla Berg', 'Oslo', '2024-02-05');
INSERT INTO Ord_Hdr VALUES
 (100, 1, '2023-12-28', 'yes'), (101, 1, '2024-03-04', 'no'), (102, 2, '2024-03-17', 'yes'),
 (103, 3, '2024-04-01', 'yes'),
 (104, 3, '2024-03-31', 'yes'), (105, 4, '2024-05-22', 'no'), (106, 1, '2024-05-23', 'yes');
INSERT INTO ord_line VALUES
 (1, 100, 'A1', 2), (2, 100, 'B2', 1), (3, 101, 'C3', 5), (4, 102, 'A1', 1), (5, 103, 'B2', 2), (6, 104, 'C3', 1),
 (7, 105, 'D4', 3), (8, 106, 'A1', 4);
INSERT INTO Prod VALUES
 ('A1', 'kettle', 39.5, 'red'), ('B2', 'teapot', 24.0, 'blue'),
 ('C3', 'cup', 6.5, 'red'), ('D4', 'tray', 18.0, 'green'),
 ('E5', 'spoon', 3.0, 'silver');
"""

JOINED = "tblCust AS c JOIN Ord_Hdr AS o ON c.CustNo = o.CustNo"
QUESTIONS = (
    ("How many customers are there?", "SELECT count(*) FROM tblCust"),
    ("Which towns do the customers live in?", "SELECT DISTINCT Town FROM tblCust"),
    ("What are the full names of customers from Bergen?", "SELECT \"Full Name\" FROM tblCust WHERE Town = 'Bergen'"),
    ("How many customers live in each town?", "SELECT Town, count(*) FROM tblCust GROUP BY Town"),
    ("What is the unit price of the kettle?", "SELECT UnitPrice FROM Prod WHERE Descr = 'kettle'"),
    ("Which product has the highest unit price?", "SELECT Descr FROM Prod ORDER BY UnitPrice DESC LIMIT 1"),
    ("What is the average unit price of red products?", "SELECT avg(UnitPrice) FROM Prod WHERE Colour = 'red'"),
    ("List the colours of products with a unit price over 10.", "SELECT Colour FROM Prod WHERE UnitPrice > 10"),
    ("How many orders were placed in March 2024?", "SELECT count(*) FROM Ord_Hdr WHERE PlacedOn LIKE '2024-03%'"),
    ("How many orders were placed in 2024?", "SELECT count(*) FROM Ord_Hdr WHERE PlacedOn LIKE '2024%'"),
    ("Which customers have been with us since 2023?", "SELECT \"Full Name\" FROM tblCust WHERE Since >= '2023'"),
    ("How many orders are not paid?", "SELECT count(*) FROM Ord_Hdr WHERE Paid = 'no'"),
    (
        "Which customer placed the most orders?",
        f'SELECT "Full Name" FROM {JOINED} GROUP BY c.CustNo ORDER BY count(*) DESC LIMIT 1',
    ),
    ("How many orders did each customer place?", f'SELECT "Full Name", count(*) FROM {JOINED} GROUP BY c.CustNo'),
    (
        "Which customers never placed an order?",
        'SELECT "Full Name" FROM tblCust WHERE CustNo NOT IN (SELECT CustNo FROM Ord_Hdr)',
    ),
    ("What are the order numbers of Mara Lind?", f"SELECT OrdNo FROM {JOINED} WHERE \"Full Name\" = 'Mara Lind'"),
    (
        "What is the total quantity sold of each product?",
        "SELECT Descr, sum(Qty) FROM ord_line JOIN Prod USING (ProdCode) GROUP BY ProdCode",
    ),
    (
        "Which products have never been ordered?",
        "SELECT Descr FROM Prod WHERE ProdCode NOT IN (SELECT ProdCode FROM ord_line)",
    ),
    (
        "What are the towns of customers who placed orders before April 2024?",
        f"SELECT DISTINCT Town FROM {JOINED} WHERE PlacedOn < '2024-04-01'",
    ),
    ("Show the products sorted by unit price.", "SELECT Descr FROM Prod ORDER BY UnitPrice"),
)
