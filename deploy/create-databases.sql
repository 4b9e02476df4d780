-- Run once by a superuser: an owner of the tables, a role that serves, a database per service.
CREATE ROLE worthwhile_owner LOGIN PASSWORD 'owner';
CREATE ROLE worthwhile_service LOGIN PASSWORD 'service';
CREATE DATABASE goals OWNER worthwhile_owner;
CREATE DATABASE metrics OWNER worthwhile_owner;
CREATE DATABASE valuation OWNER worthwhile_owner;
