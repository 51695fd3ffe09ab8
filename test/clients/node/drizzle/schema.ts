import { pgTable, serial, text, integer, timestamp, uniqueIndex, pgEnum } from 'drizzle-orm/pg-core';

export const level = pgEnum('level', ['low', 'high']);

export const people = pgTable('people', {
  id: serial('id').primaryKey(),
  name: text('name').notNull(),
  level: level('level').default('low').notNull(),
  createdAt: timestamp('created_at', { withTimezone: true }).defaultNow(),
}, (t) => [uniqueIndex('people_name').on(t.name)]);

export const notes = pgTable('notes', {
  id: serial('id').primaryKey(),
  person: integer('person').notNull().references(() => people.id),
  body: text('body'),
});
