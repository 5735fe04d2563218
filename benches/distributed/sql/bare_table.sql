CREATE TABLE bare_order (id uuid PRIMARY KEY, buyer text NOT NULL)
