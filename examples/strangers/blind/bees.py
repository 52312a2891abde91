# ruff: noqa: E501 - schema and queries as they were written
"""Beekeepers, their hives and harvests: names in words, keys declared."""

SCRIPT = """
CREATE TABLE apiary(id integer primary key, name text, beekeeper_id integer references beekeeper(id), altitude_m integer, region text);
INSERT INTO apiary VALUES
 (1,'Sunny Slope',3,1030,'East'), (2,'Old Mill',5,440,'East'), (3,'River Bend',6,930,'West'),
 (4,'Chestnut Grove',1,570,'North'), (5,'High Meadow',4,650,'East'), (6,'Church Field',3,1460,'West'),
 (7,'Pine Edge',8,1310,'East'), (8,'Stone Wall',2,NULL,'South'), (9,'Lake View',5,950,'South'),
 (10,'Long Acre',8,1610,'East'), (11,'Fox Hollow',5,640,'East'), (12,'Orchard',1,480,'South'),
 (13,'Lime Alley',4,1600,'East');
CREATE TABLE beekeeper(id integer primary key, first_name text, last_name text, village text, birth_date text, phone text, joined_on text);
INSERT INTO beekeeper VALUES
 (1,'Anna','Moser','Sterzing','1989-08-13','0472 750148','2008-03-10'),
 (2,'Bruno','Pichler','Sterzing','1957-11-20','0472 962095','2012-06-20'),
 (3,'Clara','Huber','Sterzing','1951-10-13',NULL,'2012-06-22'),
 (4,'David','Gruber','Toblach','1948-11-28','0472 723340','2012-05-06'),
 (5,'Elsa','Rossi','Toblach','1946-03-03','0472 952008','2023-07-07'),
 (6,'Fabio','Bauer','Toblach','1976-10-21','0472 955178','2018-04-02'),
 (7,'Greta','Steiner','Klausen','1975-05-04',NULL,'2022-07-03'),
 (8,'Hugo','Egger','Klausen','1947-04-23','0472 464563','2021-08-08'),
 (9,'Ines','Mair','Brixen','1978-11-07','0472 779818','2021-01-29'),
 (10,'Jonas','Hofer','Klausen','1957-05-05',NULL,'2015-03-17'),
 (11,'Karla','Wolf','Brixen','1984-01-02','0472 202111','2022-11-22'),
 (12,'Luis','Lang','Brixen','1966-05-28','0472 733361','2011-04-25');
CREATE TABLE hive(id integer primary key, label text, apiary_id integer references apiary(id), hive_type text, installed_on text, queen_year integer);
INSERT INTO hive VALUES
 (1,'H01',9,'Warre','2017-11-23',2021), (2,'H02',3,'Langstroth','2020-10-06',2022),
 (3,'H03',8,'Dadant','2016-08-08',2022), (4,'H04',2,'Dadant','2022-03-06',2022),
 (5,'H05',5,'Top Bar','2019-12-06',2021), (6,'H06',5,'Top Bar','2021-02-27',2023),
 (7,'H07',6,'Top Bar','2021-05-02',2022), (8,'H08',1,'Top Bar','2017-08-01',2022),
 (9,'H09',5,'Warre','2022-11-03',NULL), (10,'H10',1,'Top Bar','2019-12-06',NULL),
 (11,'H11',6,'Dadant','2018-12-29',2022), (12,'H12',3,'Top Bar','2022-10-08',2022),
 (13,'H13',9,'Warre','2021-10-23',2022), (14,'H14',1,'Warre','2019-06-08',NULL),
 (15,'H15',10,'Warre','2018-08-11',2023), (16,'H16',9,'Warre','2023-03-23',2023),
 (17,'H17',1,'Warre','2019-05-23',2021), (18,'H18',7,'Warre','2019-03-30',2022),
 (19,'H19',2,'Top Bar','2021-12-17',2022), (20,'H20',2,'Warre','2020-09-28',2020),
 (21,'H21',8,'Top Bar','2019-08-04',2020), (22,'H22',8,'Top Bar','2020-03-21',2020),
 (23,'H23',10,'Dadant','2015-11-09',2022), (24,'H24',2,'Top Bar','2017-10-26',2020),
 (25,'H25',11,'Dadant','2017-04-15',2022), (26,'H26',1,'Warre','2016-10-07',NULL),
 (27,'H27',8,'Dadant','2016-08-11',2023), (28,'H28',3,'Langstroth','2020-07-19',2022),
 (29,'H29',1,'Langstroth','2015-10-17',2021), (30,'H30',7,'Langstroth','2022-03-23',2021),
 (31,'H31',11,'Warre','2021-06-07',2021), (32,'H32',1,'Warre','2019-03-24',2021),
 (33,'H33',4,'Top Bar','2018-06-06',NULL), (34,'H34',1,'Warre','2019-06-29',2022),
 (35,'H35',11,'Warre','2021-11-26',NULL), (36,'H36',10,'Warre','2022-12-13',2020);
CREATE TABLE honey_harvest(id integer primary key, hive_id integer references hive(id), harvested_on text, weight_kg real, flavour text);
INSERT INTO honey_harvest VALUES
 (1,15,'2023-04-20',21.1,'lime'), (2,15,'2022-05-29',11.2,'chestnut'), (3,18,'2023-12-25',7.1,'wildflower'),
 (4,8,'2023-01-12',3.9,'lime'), (5,27,'2023-05-29',4.6,'acacia'), (6,18,'2024-08-09',13.1,'chestnut'),
 (7,13,'2023-05-29',15.9,'wildflower'), (8,2,'2024-01-22',10.1,'lime'), (9,20,'2024-02-20',11.8,'chestnut'),
 (10,3,'2022-01-21',24.4,'lime'), (11,17,'2024-07-12',5.9,'chestnut'), (12,8,'2023-08-14',19.1,'lime'),
 (13,21,'2024-07-31',14.7,'acacia'), (14,17,'2021-11-12',7.8,'chestnut'), (15,5,'2022-09-09',9.6,'chestnut'),
 (16,28,'2023-11-11',5.0,'acacia'), (17,21,'2022-09-15',27.2,'acacia'), (18,22,'2024-07-19',11.7,'forest'),
 (19,13,'2023-09-17',16.2,'acacia'), (20,24,'2022-04-02',14.1,'forest'), (21,13,'2022-09-23',13.8,'lime'),
 (22,26,'2023-07-08',7.7,'lime'), (23,19,'2024-08-12',4.3,'wildflower'), (24,13,'2022-01-11',18.0,'chestnut'),
 (25,4,'2021-06-11',25.5,'forest'), (26,25,'2023-08-04',23.5,'chestnut'), (27,18,'2021-07-23',16.1,'chestnut'),
 (28,25,'2022-12-15',6.7,'wildflower'), (29,3,'2022-09-11',4.4,'wildflower'), (30,7,'2022-12-03',5.5,'chestnut'),
 (31,28,'2023-08-15',6.8,'acacia'), (32,25,'2024-07-06',6.9,'forest'), (33,2,'2023-11-10',8.3,'acacia'),
 (34,28,'2023-06-28',15.8,'forest'), (35,29,'2022-08-23',15.0,'wildflower'), (36,20,'2023-05-27',24.5,'chestnut'),
 (37,6,'2021-10-14',21.5,'forest'), (38,16,'2022-12-06',15.3,'chestnut'), (39,11,'2023-07-09',19.9,'lime'),
 (40,21,'2024-01-18',4.2,'chestnut'), (41,18,'2022-05-04',21.7,'lime'), (42,29,'2023-07-11',6.9,'acacia'),
 (43,7,'2024-08-18',23.4,'wildflower'), (44,15,'2023-12-15',25.9,'lime'), (45,24,'2023-01-20',24.2,'chestnut'),
 (46,4,'2024-05-27',8.7,'acacia'), (47,26,'2021-12-10',25.9,'chestnut'), (48,1,'2022-03-02',10.9,'acacia');
CREATE TABLE inspection(id integer primary key, hive_id integer references hive(id), inspected_on text, mite_count integer, temperament text, notes text);
INSERT INTO inspection VALUES
 (1,11,'2022-12-16',8,'aggressive','queen seen'), (2,7,'2023-02-04',12,'calm','queen seen'),
 (3,29,'2022-10-31',20,'calm',NULL), (4,24,'2024-01-22',8,'aggressive',NULL),
 (5,18,'2022-12-24',12,'aggressive','swarm cells'), (6,18,'2023-08-12',20,'calm','queen seen'),
 (7,9,'2023-12-23',0,'nervous','queen seen'), (8,13,'2023-11-09',0,'calm',NULL),
 (9,18,'2022-06-02',2,'calm','swarm cells'), (10,30,'2024-04-09',0,'nervous',NULL),
 (11,17,'2024-05-08',2,'nervous','needs feeding'), (12,8,'2023-11-19',0,'nervous','swarm cells'),
 (13,12,'2022-10-03',12,'calm','needs feeding'), (14,6,'2023-04-01',NULL,'calm','swarm cells'),
 (15,8,'2023-09-22',3,'nervous',NULL), (16,15,'2024-03-22',12,'aggressive',NULL),
 (17,7,'2023-02-05',2,'nervous',NULL), (18,22,'2022-08-17',3,'nervous','needs feeding'),
 (19,11,'2023-05-23',8,'aggressive','needs feeding'), (20,19,'2023-07-17',0,'calm',NULL),
 (21,6,'2024-06-07',3,'aggressive','queen seen'), (22,12,'2024-07-18',20,'aggressive',NULL),
 (23,10,'2024-02-05',3,'calm','queen seen'), (24,1,'2022-12-07',3,'calm','swarm cells'),
 (25,18,'2023-05-30',2,'calm','needs feeding'), (26,1,'2024-08-15',5,'nervous','needs feeding'),
 (27,28,'2022-04-27',12,'calm','swarm cells'), (28,20,'2023-12-21',NULL,'nervous','swarm cells'),
 (29,28,'2023-05-06',2,'calm','swarm cells'), (30,26,'2024-05-24',5,'calm','queen seen'),
 (31,7,'2022-05-14',0,'calm',NULL), (32,3,'2024-03-14',0,'nervous','queen seen'),
 (33,22,'2023-03-25',1,'nervous','queen seen'), (34,4,'2023-07-06',1,'nervous',NULL),
 (35,29,'2023-09-13',1,'nervous','queen seen'), (36,14,'2024-01-28',20,'nervous',NULL),
 (37,24,'2023-12-23',0,'aggressive',NULL), (38,21,'2023-06-16',20,'calm',NULL),
 (39,6,'2022-05-21',5,'nervous','queen seen'), (40,10,'2024-08-22',5,'calm','swarm cells'),
 (41,6,'2023-01-20',12,'calm',NULL), (42,17,'2022-05-06',NULL,'nervous','swarm cells'),
 (43,1,'2023-11-15',20,'nervous','needs feeding'), (44,2,'2022-05-17',2,'nervous','queen seen'),
 (45,26,'2024-02-16',1,'aggressive','queen seen'), (46,13,'2022-07-22',3,'nervous','swarm cells'),
 (47,14,'2022-09-03',1,'calm','swarm cells'), (48,26,'2024-05-20',20,'nervous','queen seen'),
 (49,27,'2023-12-19',5,'calm','needs feeding'), (50,24,'2023-05-27',5,'calm','swarm cells'),
 (51,3,'2022-04-04',8,'aggressive','queen seen'), (52,23,'2024-01-16',2,'aggressive','queen seen'),
 (53,29,'2024-09-25',0,'calm',NULL), (54,3,'2023-12-23',NULL,'calm',NULL),
 (55,8,'2024-07-05',NULL,'nervous','needs feeding'), (56,7,'2023-04-21',20,'nervous','needs feeding'),
 (57,19,'2024-08-24',0,'calm','needs feeding'), (58,26,'2024-04-03',12,'nervous','needs feeding'),
 (59,8,'2024-05-01',12,'nervous',NULL), (60,9,'2024-06-27',8,'calm','queen seen');
"""

QUESTIONS = [
    ("How many beekeepers are there?", "select count(*) from beekeeper"),
    (
        "Show the first and last names of beekeepers who live in Brixen.",
        "select first_name,last_name from beekeeper where village='Brixen'",
    ),
    ("Which beekeepers have no phone number?", "select first_name,last_name from beekeeper where phone is null"),
    ("How many hives of each type are there?", "select hive_type,count(*) from hive group by hive_type"),
    (
        "What is the total weight of honey harvested in 2023?",
        "select sum(weight_kg) from honey_harvest where strftime('%Y',harvested_on)='2023'",
    ),
    (
        "How much honey was harvested each year?",
        "select strftime('%Y',harvested_on),sum(weight_kg) from honey_harvest group by 1",
    ),
    ("Which apiaries lie above 1000 metres?", "select name from apiary where altitude_m>1000"),
    ("What is the highest apiary?", "select name from apiary where altitude_m=(select max(altitude_m) from apiary)"),
    (
        "Who is the oldest beekeeper?",
        "select first_name,last_name from beekeeper where birth_date=(select min(birth_date) from beekeeper)",
    ),
    (
        "Which beekeepers do not have any apiary?",
        "select first_name,last_name from beekeeper where id not in (select beekeeper_id from apiary)",
    ),
    (
        "List the labels of hives that have never been inspected.",
        "select label from hive where id not in (select hive_id from inspection)",
    ),
    (
        "How many hives does each apiary have, including apiaries with none?",
        "select a.name,count(h.id) from apiary a left join hive h on h.apiary_id=a.id group by a.id",
    ),
    (
        "What is the average mite count for each hive type?",
        "select hive_type,avg(mite_count) from hive h join inspection i on i.hive_id=h.id group by hive_type",
    ),
    (
        "Which 3 hives gave the most honey in total?",
        "select label,sum(weight_kg) from hive h join honey_harvest y on y.hive_id=h.id group by h.id order by 2 desc limit 3",
    ),
    (
        "How many inspections found an aggressive colony?",
        "select count(*) from inspection where temperament='aggressive'",
    ),
    ("What percentage of inspections were calm?", "select 100.0*sum(temperament='calm')/count(*) from inspection"),
    (
        "Which hives had more than 10 mites in an inspection?",
        "select distinct label from hive h join inspection i on i.hive_id=h.id where mite_count>10",
    ),
    (
        "How much honey did Elsa Rossi harvest in total?",
        "select sum(weight_kg) from honey_harvest y join hive h on h.id=y.hive_id join apiary a on a.id=h.apiary_id join beekeeper b on b.id=a.beekeeper_id where first_name='Elsa' and last_name='Rossi'",
    ),
    (
        "Which harvests were heavier than the average harvest?",
        "select id,hive_id,harvested_on,weight_kg,flavour from honey_harvest where weight_kg>(select avg(weight_kg) from honey_harvest)",
    ),
    (
        "For each region, what is the lowest and highest altitude?",
        "select region,min(altitude_m),max(altitude_m) from apiary group by region",
    ),
    ("Which hives were installed before 2018?", "select label from hive where installed_on<'2018-01-01'"),
    (
        "Which honey flavour was harvested most often?",
        "select flavour from honey_harvest group by flavour order by count(*) desc limit 1",
    ),
    (
        "Which hives have been both inspected and harvested in 2024?",
        "select label from hive where id in (select hive_id from inspection where inspected_on like '2024%') and id in (select hive_id from honey_harvest where harvested_on like '2024%')",
    ),
    (
        "Which beekeepers have more than one apiary?",
        "select first_name,last_name from beekeeper b join apiary a on a.beekeeper_id=b.id group by b.id having count(*)>1",
    ),
    (
        "When was hive H07 last inspected?",
        "select max(inspected_on) from inspection i join hive h on h.id=i.hive_id where label='H07'",
    ),
]
