-- What follows the rows of the sample CRM: foreign keys, secondary indexes, sequences and statistics.

ALTER TABLE regions ADD CONSTRAINT regions_parent_fkey FOREIGN KEY (parent_id) REFERENCES regions;
ALTER TABLE sources ADD CONSTRAINT sources_region_fkey FOREIGN KEY (region_id) REFERENCES regions;
ALTER TABLE investment_firms ADD CONSTRAINT investment_firms_region_fkey FOREIGN KEY (region_id) REFERENCES regions;
ALTER TABLE investors ADD CONSTRAINT investors_firm_fkey FOREIGN KEY (firm_id) REFERENCES investment_firms ON DELETE SET NULL;
ALTER TABLE startups ADD CONSTRAINT startups_region_fkey FOREIGN KEY (region_id) REFERENCES regions;
ALTER TABLE contacts ADD CONSTRAINT contacts_startup_fkey FOREIGN KEY (startup_id) REFERENCES startups ON DELETE CASCADE;
ALTER TABLE deals
    ADD CONSTRAINT deals_startup_fkey FOREIGN KEY (startup_id) REFERENCES startups ON DELETE CASCADE,
    ADD CONSTRAINT deals_investor_fkey FOREIGN KEY (investor_id) REFERENCES investors;
ALTER TABLE subscribers ADD CONSTRAINT subscribers_region_fkey FOREIGN KEY (region_id) REFERENCES regions ON DELETE SET NULL;
ALTER TABLE news_articles
    ADD CONSTRAINT news_articles_source_fkey FOREIGN KEY (source_id) REFERENCES sources,
    ADD CONSTRAINT news_articles_startup_fkey FOREIGN KEY (startup_id) REFERENCES startups ON DELETE SET NULL;
ALTER TABLE messages
    ADD CONSTRAINT messages_contact_fkey FOREIGN KEY (contact_id) REFERENCES contacts ON DELETE CASCADE,
    ADD CONSTRAINT messages_deal_fkey FOREIGN KEY (deal_id) REFERENCES deals ON DELETE SET NULL;

CREATE INDEX investment_firms_region ON investment_firms (region_id);
CREATE INDEX investors_firm ON investors (firm_id);
CREATE INDEX investors_sectors ON investors USING gin (sectors);
CREATE INDEX startups_sector_stage ON startups (sector, stage);
CREATE INDEX startups_region ON startups (region_id);
CREATE INDEX startups_profile ON startups USING gin (profile jsonb_path_ops);
CREATE INDEX contacts_startup ON contacts (startup_id);
CREATE INDEX contacts_name ON contacts (lower(full_name));
CREATE INDEX deals_startup ON deals (startup_id);
CREATE INDEX deals_investor ON deals (investor_id);
CREATE INDEX deals_open ON deals (stage, opened_at DESC) WHERE closed_at IS NULL;
CREATE INDEX subscribers_active ON subscribers (plan) WHERE unsubscribed_at IS NULL;
CREATE INDEX news_articles_startup ON news_articles (startup_id, published_at DESC);
CREATE INDEX news_articles_source ON news_articles (source_id);
CREATE INDEX news_articles_search ON news_articles USING gin (search);
CREATE INDEX messages_contact ON messages (contact_id, sent_at DESC);
CREATE INDEX messages_deal ON messages (deal_id) WHERE deal_id IS NOT NULL;
CREATE INDEX messages_sent ON messages USING brin (sent_at);
