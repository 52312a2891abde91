# ruff: noqa: E501 - schema and queries as they were written
"""A garage: short names, neither primary nor foreign keys."""

SCRIPT = """
CREATE TABLE cust(cid integer, nm text, town text, tel text, dob text);
INSERT INTO cust VALUES
 (101,'Adam Cole','Ripon','01318157991','2002-08-02'), (102,'Beth Shaw','York','01524813384','1980-01-05'),
 (103,'Carl Dunn','Harrogate','01101540811','1966-12-09'), (104,'Dora Finch','Ripon',NULL,'1968-09-30'),
 (105,'Evan Hale','Leeds','01601967075','1956-09-23'), (106,'Fiona Gray','Harrogate','01815612761','1985-01-16'),
 (107,'George Pike','York','01864257685','2001-11-10'), (108,'Helen Frost','Leeds','01458442332','1969-03-26'),
 (109,'Ian Marsh','York',NULL,'1990-12-12'), (110,'Joan Reed','York','01871445361','1958-02-23'),
 (111,'Kevin Nash','Harrogate','01359856343','1987-11-18'), (112,'Laura Hart','York','01697916179','1954-08-13'),
 (113,'Martin Boyd','Leeds',NULL,'1992-07-26'), (114,'Nora Quill','Harrogate','01545495384','1993-01-13'),
 (115,'Owen Price','Leeds','01781763460','1978-10-18'), (116,'Paula West','York','01761031756','1969-06-17'),
 (117,'Ralph Stone','Leeds','01511425200','1949-06-14'), (118,'Susan Lowe','York','01348392807','1965-10-31');
CREATE TABLE job(jno integer, vid integer, mid integer, dt_in text, dt_out text, hrs real, amt real, kind text);
INSERT INTO job VALUES
 (1,17,2,'2022-10-19','2022-10-20',1.5,111.88,'service'), (2,4,1,'2024-11-12','2024-11-16',3.5,115.33,'tyres'),
 (3,7,5,'2022-09-06','2022-09-10',7.0,286.51,'tyres'), (4,2,3,'2024-03-22','2024-03-26',0.5,35.75,'service'),
 (5,3,2,'2023-03-19','2023-03-20',5.5,310.43,'bodywork'), (6,10,5,'2024-05-05','2024-05-09',6.0,266.11,'service'),
 (7,1,4,'2023-10-16','2023-10-17',4.5,259.27,'tyres'), (8,1,5,'2023-10-25',NULL,4.5,169.15,'tyres'),
 (9,3,1,'2023-09-22','2023-09-24',1.5,124.82,'bodywork'), (10,11,5,'2024-03-19','2024-03-23',1.5,80.11,'brakes'),
 (11,5,2,'2024-03-03','2024-03-07',3.0,111.52,'electrics'), (12,22,5,'2022-04-15','2022-04-17',5.5,242.55,'brakes'),
 (13,21,6,'2024-02-20','2024-02-24',4.0,170.88,'brakes'), (14,12,4,'2023-08-01','2023-08-09',8.0,355.86,'service'),
 (15,11,6,'2023-02-12','2023-02-20',6.0,283.28,'service'),
 (16,11,2,'2022-03-10','2022-03-12',6.0,261.55,'bodywork'), (17,5,3,'2022-06-07','2022-06-11',3.5,257.05,'brakes'),
 (18,5,4,'2024-06-06','2024-06-12',3.0,155.49,'service'), (19,9,2,'2023-03-09','2023-03-11',5.5,217.38,'tyres'),
 (20,8,3,'2023-02-01','2023-02-06',3.5,276.97,'tyres'), (21,10,1,'2023-08-20','2023-08-20',5.0,287.3,'brakes'),
 (22,18,6,'2024-09-03',NULL,5.5,380.71,'brakes'), (23,6,1,'2022-07-07','2022-07-12',3.0,245.22,'service'),
 (24,9,1,'2022-08-12','2022-08-13',6.5,284.31,'service'), (25,1,3,'2022-07-25','2022-07-31',1.5,98.46,'electrics'),
 (26,22,1,'2023-11-23','2023-12-01',3.0,107.27,'service'), (27,16,6,'2022-07-31','2022-08-05',2.5,210.0,'bodywork'),
 (28,1,4,'2022-06-21','2022-06-24',7.0,394.37,'brakes'), (29,21,1,'2024-05-12','2024-05-19',1.0,74.64,'bodywork'),
 (30,6,3,'2024-03-12','2024-03-20',8.0,327.6,'electrics'), (31,2,6,'2023-02-14','2023-02-16',4.5,347.69,'bodywork'),
 (32,6,4,'2022-06-06','2022-06-08',6.0,443.74,'service'), (33,2,5,'2024-11-08','2024-11-14',1.0,54.08,'service'),
 (34,18,3,'2024-05-20','2024-05-23',6.5,493.37,'tyres'), (35,8,4,'2023-05-29','2023-06-01',5.0,208.96,'brakes'),
 (36,15,2,'2022-08-08','2022-08-12',4.5,271.28,'tyres'), (37,14,4,'2022-10-16','2022-10-19',2.0,146.08,'service'),
 (38,21,1,'2022-06-08','2022-06-16',5.0,285.06,'tyres'), (39,4,5,'2023-10-05','2023-10-10',1.0,34.63,'tyres'),
 (40,17,5,'2023-09-15','2023-09-22',6.0,438.3,'brakes'), (41,10,1,'2024-08-25',NULL,6.0,274.02,'tyres'),
 (42,2,2,'2022-03-29','2022-04-06',7.0,411.89,'brakes'), (43,19,3,'2024-07-26','2024-08-02',4.5,216.53,'service'),
 (44,10,2,'2022-10-15','2022-10-18',8.0,555.32,'tyres'), (45,15,3,'2022-09-12','2022-09-12',6.0,258.02,'service'),
 (46,19,4,'2023-03-11','2023-03-19',1.5,87.93,'electrics'),
 (47,9,1,'2022-10-25','2022-10-31',2.0,177.72,'bodywork'), (48,18,2,'2023-06-06','2023-06-10',4.0,215.29,'brakes'),
 (49,14,5,'2022-11-07','2022-11-15',5.0,248.55,'brakes'), (50,1,6,'2024-11-04','2024-11-07',5.0,216.12,'brakes'),
 (51,17,6,'2023-05-03',NULL,6.5,335.16,'bodywork'), (52,16,1,'2022-01-13','2022-01-19',4.0,257.57,'electrics'),
 (53,2,3,'2023-02-06','2023-02-13',1.5,47.48,'brakes'), (54,18,6,'2024-10-29','2024-11-02',5.0,209.37,'bodywork'),
 (55,9,2,'2024-10-05','2024-10-05',5.5,200.4,'brakes');
CREATE TABLE mech(mid integer, nm text, lvl text, hired text, rate real);
INSERT INTO mech VALUES
 (1,'Bill Tate','senior','2021-03-08',48.0), (2,'Kim Young','senior','2015-12-21',46.5),
 (3,'Raj Patel','junior','2018-12-07',31.0), (4,'Zoe Clark','junior','2016-09-29',29.5),
 (5,'Max Ford','apprentice','2021-03-01',18.0), (6,'Amy Bell','apprentice','2010-07-24',17.5),
 (7,'Sid Lamb','junior','2018-02-21',30.0);
CREATE TABLE part_used(jno integer, part text, qty integer, unit_price real);
INSERT INTO part_used VALUES
 (1,'battery',3,95.0), (13,'headlight bulb',1,7.8), (19,'battery',4,95.0), (48,'tyre',4,68.0), (17,'tyre',2,68.0),
 (26,'oil filter',3,9.5), (21,'wiper blade',4,11.0), (9,'spark plug',1,6.25), (9,'oil filter',4,9.5),
 (46,'battery',3,95.0), (16,'battery',3,95.0), (33,'spark plug',1,6.25), (1,'wiper blade',4,11.0),
 (21,'tyre',2,68.0), (13,'battery',2,95.0), (11,'brake pad',2,24.0), (24,'spark plug',1,6.25),
 (29,'headlight bulb',2,7.8), (20,'brake pad',4,24.0), (35,'spark plug',1,6.25), (29,'brake pad',1,24.0),
 (32,'tyre',1,68.0), (29,'spark plug',1,6.25), (44,'battery',1,95.0), (29,'brake pad',2,24.0),
 (9,'spark plug',4,6.25), (42,'oil filter',3,9.5), (48,'oil filter',2,9.5), (23,'wiper blade',3,11.0),
 (29,'oil filter',1,9.5), (24,'spark plug',2,6.25), (15,'battery',2,95.0), (29,'tyre',4,68.0),
 (16,'brake pad',2,24.0), (4,'spark plug',1,6.25), (29,'battery',3,95.0), (25,'spark plug',1,6.25),
 (13,'battery',1,95.0), (45,'spark plug',4,6.25), (38,'tyre',3,68.0), (22,'spark plug',1,6.25),
 (41,'oil filter',1,9.5), (6,'brake pad',3,24.0), (32,'brake pad',1,24.0), (47,'wiper blade',3,11.0),
 (3,'battery',3,95.0), (28,'spark plug',3,6.25), (34,'wiper blade',1,11.0), (48,'wiper blade',1,11.0),
 (19,'spark plug',1,6.25), (16,'battery',2,95.0), (19,'tyre',3,68.0), (39,'brake pad',4,24.0),
 (7,'headlight bulb',1,7.8), (11,'wiper blade',2,11.0), (32,'battery',3,95.0), (18,'spark plug',3,6.25),
 (47,'battery',3,95.0), (5,'headlight bulb',2,7.8), (16,'battery',4,95.0);
CREATE TABLE veh(vid integer, cid integer, reg text, mk text, mdl text, yr integer, clr text, km integer);
INSERT INTO veh VALUES
 (1,108,'YC17 GHD','Toyota','Yaris',2022,NULL,104500), (2,113,'YA22 CFC','Fiat','Panda',2023,'blue',35100),
 (3,103,'YB15 DGD','Fiat','500',2008,'black',14300), (4,112,'YE17 CCD','Ford','Focus',2011,'black',140200),
 (5,110,'YC16 DFF','Toyota','Corolla',2009,NULL,19000), (6,112,'YD22 DBF','Volvo','V60',2013,'red',97700),
 (7,102,'YE19 FBF','Skoda','Octavia',2012,'blue',161000), (8,110,'YD10 HHD','Volvo','V60',2007,'silver',165400),
 (9,102,'YC17 BCG','Skoda','Octavia',2018,'red',164000), (10,107,'YE15 CGB','Skoda','Fabia',2010,'silver',8200),
 (11,115,'YA15 DBB','Fiat','Panda',2019,'red',137500), (12,107,'YA13 DGF','Fiat','Panda',2015,'black',50000),
 (13,107,'YE23 FGF','Volvo','XC40',2008,'blue',184600), (14,110,'YE12 BFB','Volvo','XC40',2015,'blue',77300),
 (15,113,'YC22 DBB','Volvo','XC40',2023,'blue',108600), (16,106,'YD17 BFG','Volvo','V60',2017,'red',116500),
 (17,111,'YA15 CGG','Skoda','Fabia',2020,'black',174200), (18,107,'YB13 FHC','Fiat','500',2006,NULL,123200),
 (19,115,'YD10 FGB','Fiat','500',2019,'black',79100), (20,111,'YD23 CHF','Fiat','Panda',2020,'white',129300),
 (21,104,'YB13 BFD','Ford','Focus',2005,'silver',43600), (22,109,'YA12 CCD','Skoda','Octavia',2016,NULL,65000),
 (23,104,'YD17 DCF','Toyota','Corolla',2020,NULL,78900), (24,102,'YC16 DHC','Ford','Fiesta',2010,NULL,41900),
 (25,101,'YE19 DFD','Volvo','XC40',2009,NULL,170400), (26,111,'YE14 CFB','Ford','Focus',2020,'black',79000);
"""

QUESTIONS = [
    (
        "How many cars does each customer own?",
        "select c.nm,count(v.vid) from cust c left join veh v on v.cid=c.cid group by c.cid",
    ),
    ("Show the registration and model of all Toyotas.", "select reg,mdl from veh where mk='Toyota'"),
    ("Which customers live in York?", "select nm from cust where town='York'"),
    ("Which customers have no vehicle?", "select nm from cust where cid not in (select cid from veh)"),
    (
        "What colour is the most common among the vehicles?",
        "select clr from veh where clr is not null group by clr order by count(*) desc limit 1",
    ),
    ("How many jobs did Bill Tate do?", "select count(*) from job j join mech m on m.mid=j.mid where nm='Bill Tate'"),
    (
        "Which mechanic worked the most hours?",
        "select nm from mech m join job j on j.mid=m.mid group by m.mid order by sum(hrs) desc limit 1",
    ),
    ("What is the average amount charged per kind of job?", "select kind,avg(amt) from job group by kind"),
    ("Which jobs are not finished yet?", "select * from job where dt_out is null"),
    ("How much did we charge in total in each year?", "select strftime('%Y',dt_in),sum(amt) from job group by 1"),
    ("Which mechanics have never done a job?", "select nm from mech where mid not in (select mid from job)"),
    (
        "List the names and phone numbers of customers who own a Ford.",
        "select distinct c.nm,tel from cust c join veh v on v.cid=c.cid where mk='Ford'",
    ),
    ("What is the oldest vehicle?", "select reg,mk,mdl from veh where yr=(select min(yr) from veh)"),
    (
        "Which cars have more than 100000 km and were built after 2015?",
        "select reg,mk,mdl from veh where km>100000 and yr>2015",
    ),
    (
        "What are the three parts used most, by quantity?",
        "select part,sum(qty) from part_used group by part order by 2 desc limit 3",
    ),
    ("How much was spent on parts for each job?", "select jno,sum(qty*unit_price) from part_used group by jno"),
    (
        "Which customers have spent more than 1000 in total?",
        "select c.nm from cust c join veh v on v.cid=c.cid join job j on j.vid=v.vid group by c.cid having sum(amt)>1000",
    ),
    ("What is the hourly rate of the senior mechanics?", "select nm,rate from mech where lvl='senior'"),
    ("How many customers have no telephone number?", "select count(*) from cust where tel is null"),
    (
        "Which jobs cost more than the average bodywork job?",
        "select jno from job where amt>(select avg(amt) from job where kind='bodywork')",
    ),
    ("What is the average mileage of cars for each make?", "select mk,avg(km) from veh group by mk"),
    (
        "Which mechanics were hired before Kim Young?",
        "select nm from mech where hired<(select hired from mech where nm='Kim Young')",
    ),
    ("Which customers are older than 60?", "select nm from cust where date(dob,'+61 years')<=date('now')"),
    ("What share of jobs were brakes, in percent?", "select 100.0*sum(kind='brakes')/count(*) from job"),
    (
        "How many different customers did Raj Patel work for?",
        "select count(distinct v.cid) from job j join mech m on m.mid=j.mid join veh v on v.vid=j.vid where m.nm='Raj Patel'",
    ),
]
