-- The sample CRM of a venture-capital newsletter and its deal desk: types, tables, keys and views.
-- Foreign keys and secondary indexes come after the rows: checking a table once is faster than checking each row.

CREATE TYPE source_kind AS ENUM ('newspaper', 'wire', 'blog', 'newsletter', 'podcast');
CREATE TYPE funding_stage AS ENUM ('pre_seed', 'seed', 'series_a', 'series_b', 'series_c', 'growth');
CREATE TYPE deal_stage AS ENUM ('sourced', 'screening', 'due_diligence', 'term_sheet', 'closed', 'lost');
CREATE TYPE message_channel AS ENUM ('email', 'call', 'meeting', 'chat');

CREATE DOMAIN email_address AS text
    CONSTRAINT email_address_has_host CHECK (VALUE ~ '^[^@[:space:]]+@[^@[:space:]]+[.][^@[:space:]]+$');

CREATE FUNCTION touch_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;

CREATE TABLE regions (
    id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    parent_id  integer,
    code       text NOT NULL UNIQUE CHECK (code ~ '^[A-Z]{2,3}(-[A-Z]{2,3})?$'),
    name       text NOT NULL,
    time_zone  text NOT NULL
);
COMMENT ON TABLE regions IS 'Continents and the markets inside them';
COMMENT ON COLUMN regions.parent_id IS 'The continent of a market; null for a continent';

CREATE TABLE sources (
    id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    region_id   integer NOT NULL,
    name        text NOT NULL UNIQUE,
    url         text NOT NULL,
    kind        source_kind NOT NULL,
    reliability smallint NOT NULL CHECK (reliability BETWEEN 1 AND 5),
    active      boolean NOT NULL DEFAULT true,
    created_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE sources IS 'Where news articles come from';
COMMENT ON COLUMN sources.reliability IS '1 is rumour, 5 is a paper of record';

CREATE TABLE investment_firms (
    id           integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    region_id    integer NOT NULL,
    name         text NOT NULL UNIQUE,
    website      text,
    founded      smallint NOT NULL CHECK (founded BETWEEN 1900 AND 2100),
    assets       numeric(16,2) NOT NULL CHECK (assets >= 0),
    focus        text[] NOT NULL DEFAULT '{}',
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE investment_firms IS 'Funds and the companies that manage them';
COMMENT ON COLUMN investment_firms.assets IS 'Assets under management, in euros';

CREATE TABLE investors (
    id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    firm_id     integer,
    full_name   text NOT NULL,
    email       email_address NOT NULL UNIQUE,
    title       text NOT NULL,
    ticket_min  numeric(14,2) NOT NULL CHECK (ticket_min > 0),
    ticket_max  numeric(14,2) NOT NULL,
    sectors     text[] NOT NULL DEFAULT '{}',
    preferences jsonb NOT NULL DEFAULT '{}',
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT investors_ticket_range CHECK (ticket_min <= ticket_max)
);
COMMENT ON TABLE investors IS 'People who invest, for a firm or as business angels';
COMMENT ON COLUMN investors.firm_id IS 'Null for a business angel';

CREATE TABLE startups (
    id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    region_id   integer NOT NULL,
    name        text NOT NULL UNIQUE,
    website     text,
    sector      text NOT NULL,
    stage       funding_stage NOT NULL,
    founded_on  date NOT NULL,
    employees   integer NOT NULL CHECK (employees > 0),
    valuation   numeric(14,2) CHECK (valuation > 0),
    tags        text[] NOT NULL DEFAULT '{}',
    profile     jsonb NOT NULL DEFAULT '{}',
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE startups IS 'Companies that look for money';
COMMENT ON COLUMN startups.valuation IS 'After the last round, in euros; null when it is not public';

CREATE TABLE contacts (
    id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    startup_id integer NOT NULL,
    full_name  text NOT NULL,
    email      email_address NOT NULL UNIQUE,
    phone      text,
    position   text NOT NULL,
    languages  text[] NOT NULL DEFAULT '{en}',
    details    jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE contacts IS 'People at startups';

CREATE TABLE deals (
    id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    startup_id  integer NOT NULL,
    investor_id integer NOT NULL,
    stage       deal_stage NOT NULL DEFAULT 'sourced',
    amount      numeric(14,2) NOT NULL CHECK (amount > 0),
    currency    char(3) NOT NULL DEFAULT 'EUR' CHECK (currency ~ '^[A-Z]{3}$'),
    probability smallint NOT NULL CHECK (probability BETWEEN 0 AND 100),
    terms       jsonb NOT NULL DEFAULT '{}',
    opened_at   timestamptz NOT NULL DEFAULT now(),
    closed_at   timestamptz,
    updated_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT deals_closed_when_over CHECK ((closed_at IS NOT NULL) = (stage IN ('closed', 'lost'))),
    CONSTRAINT deals_close_after_opening CHECK (closed_at >= opened_at)
);
COMMENT ON TABLE deals IS 'One investor''s money for one startup, from first sight to the end';
COMMENT ON COLUMN deals.probability IS 'Percent; what the desk believes, not a computed value';

CREATE TABLE subscribers (
    id              integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    region_id       integer,
    email           email_address NOT NULL UNIQUE,
    full_name       text,
    token           uuid NOT NULL UNIQUE,
    plan            text NOT NULL DEFAULT 'free' CHECK (plan IN ('free', 'plus', 'team')),
    topics          text[] NOT NULL DEFAULT '{}',
    preferences     jsonb NOT NULL DEFAULT '{}',
    subscribed_at   timestamptz NOT NULL DEFAULT now(),
    unsubscribed_at timestamptz,
    CONSTRAINT subscribers_leave_after_joining CHECK (unsubscribed_at >= subscribed_at)
);
COMMENT ON TABLE subscribers IS 'Readers of the newsletter';
COMMENT ON COLUMN subscribers.token IS 'Stands in the unsubscribe link';

CREATE TABLE news_articles (
    id           integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id    integer NOT NULL,
    startup_id   integer,
    title        text NOT NULL,
    url          text NOT NULL UNIQUE,
    body         text NOT NULL,
    tags         text[] NOT NULL DEFAULT '{}',
    sentiment    numeric(4,3) CHECK (sentiment BETWEEN -1 AND 1),
    published_at timestamptz NOT NULL,
    search       tsvector GENERATED ALWAYS AS
                 (setweight(to_tsvector('english', title), 'A') || setweight(to_tsvector('english', body), 'B')) STORED
);
COMMENT ON TABLE news_articles IS 'What was written about startups';
COMMENT ON COLUMN news_articles.sentiment IS 'From -1 (bad news) to 1 (good news); null when it was not judged';

CREATE TABLE messages (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    contact_id integer NOT NULL,
    deal_id    integer,
    channel    message_channel NOT NULL,
    outgoing   boolean NOT NULL,
    subject    text NOT NULL,
    body       text NOT NULL,
    metadata   jsonb NOT NULL DEFAULT '{}',
    sent_at    timestamptz NOT NULL DEFAULT now(),
    read_at    timestamptz,
    CONSTRAINT messages_read_after_sending CHECK (read_at >= sent_at)
);
COMMENT ON TABLE messages IS 'Everything said to or by a contact';
COMMENT ON COLUMN messages.deal_id IS 'The deal it was about; null for small talk';

CREATE TRIGGER investment_firms_touch BEFORE UPDATE ON investment_firms FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
CREATE TRIGGER investors_touch BEFORE UPDATE ON investors FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
CREATE TRIGGER startups_touch BEFORE UPDATE ON startups FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
CREATE TRIGGER contacts_touch BEFORE UPDATE ON contacts FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
CREATE TRIGGER deals_touch BEFORE UPDATE ON deals FOR EACH ROW EXECUTE FUNCTION touch_updated_at();

CREATE VIEW deal_pipeline AS
    SELECT d.id, d.stage, d.amount, d.currency, d.probability, s.name AS startup, s.sector, i.full_name AS investor,
           f.name AS firm, r.name AS region, d.opened_at, d.closed_at
    FROM deals d
    JOIN startups s ON s.id = d.startup_id
    JOIN regions r ON r.id = s.region_id
    JOIN investors i ON i.id = d.investor_id
    LEFT JOIN investment_firms f ON f.id = i.firm_id;
COMMENT ON VIEW deal_pipeline IS 'Deals with the names of everybody in them';

CREATE VIEW startup_activity AS
    SELECT s.id, s.name, count(m.id) AS messages, max(m.sent_at) AS last_message_at
    FROM startups s
    LEFT JOIN contacts c ON c.startup_id = s.id
    LEFT JOIN messages m ON m.contact_id = c.id
    GROUP BY s.id;
COMMENT ON VIEW startup_activity IS 'How much was said with each startup, and when last';
