import { describe, expect, it } from 'vitest'
import { destroys, identifier, literal, statements } from './sql-text'

const texts = (sql: string) => statements(sql).map((s) => s.text)

describe('statements', () => {
  it('end at semicolons that are not inside of anything', () => {
    expect(texts(`SELECT ';' ; SELECT ";" -- ;\n; /* ; /* ; */ ; */ SELECT 3`)).toEqual([
      `SELECT ';'`,
      `SELECT ";" -- ;`,
      '/* ; /* ; */ ; */ SELECT 3',
    ])
  })
  it('keep dollar quotes whole, with and without a tag', () => {
    expect(texts('DO $$ BEGIN; END $$; DO $a$ $$;$$ $a$; SELECT $1')).toHaveLength(3)
  })
  it('know where they stand', () => {
    expect(statements(' SELECT 1;\n SELECT 2').map((s) => [s.from, s.to])).toEqual([
      [1, 9],
      [12, 20],
    ])
  })
  it('take a backslash for what it is only in E strings', () => {
    expect(texts(`SELECT 'a\\'; SELECT E'\\';'`)).toEqual([`SELECT 'a\\'`, `SELECT E'\\';'`])
  })
})

describe('what is destroyed', () => {
  const of = (sql: string) => statements(sql).map(destroys)[0] ?? null
  it.each([
    'DROP TABLE orders',
    'truncate orders',
    'delete from orders',
    'UPDATE orders SET total = 0 -- WHERE id = 1',
    'ALTER TABLE orders DROP COLUMN note',
    'WITH gone AS (DELETE FROM orders RETURNING *) SELECT * FROM gone',
    'WITH gone AS (DELETE FROM orders RETURNING *) SELECT * FROM gone WHERE id = 1',
    'WITH some AS (SELECT 1 WHERE true) UPDATE orders SET total = 0',
    'UPDATE orders SET total = (SELECT 1 WHERE true)',
    'EXPLAIN (ANALYZE, BUFFERS) DELETE FROM orders',
    'EXPLAIN ANALYZE UPDATE orders SET total = 0',
  ])('is said of %s', (sql) => expect(of(sql)).not.toBeNull())
  it.each([
    'SELECT 1',
    'DELETE FROM orders WHERE id = 1',
    'UPDATE orders SET note = NULL WHERE id = 1',
    "INSERT INTO notes VALUES ('DROP TABLE orders')",
    'INSERT INTO orders VALUES (1) ON CONFLICT (id) DO UPDATE SET total = 0',
    'SELECT * FROM orders FOR UPDATE',
    'EXPLAIN DELETE FROM orders',
    'WITH some AS (SELECT 1) UPDATE orders SET total = 0 WHERE id IN (SELECT * FROM some)',
    'CREATE TRIGGER t AFTER INSERT OR UPDATE ON orders EXECUTE FUNCTION f()',
    'ALTER TABLE orders ALTER COLUMN note DROP NOT NULL',
  ])('is not said of %s', (sql) => expect(of(sql)).toBeNull())
})

describe('quoting', () => {
  it('holds whatever stands inside', () => {
    expect(identifier('a"b')).toBe('"a""b"')
    expect(literal("it's")).toBe("'it''s'")
    expect(literal('a\\b')).toBe("E'a\\\\b'")
    expect(literal(null)).toBe('NULL')
  })
})
