import { describe, expect, it } from 'vitest'
import { mask, masked, shellQuote, snippets, withPassword } from './connect'

const connection = {
  url: 'postgresql://shop_owner:s3cret%2F@127.0.0.1:6432/shop_production?sslmode=require',
  host: '127.0.0.1',
  port: 6432,
  user: 'shop_owner',
  password: 's3cret/',
  database: 'shop_production',
  sslmode: 'require',
}

describe('a masked connection', () => {
  it('gives the password away in no snippet', () => {
    for (const snippet of snippets(masked(connection))) {
      expect(snippet.text).not.toContain('s3cret')
    }
  })
  it('keeps everything else', () => {
    expect(masked(connection).url).toBe(
      `postgresql://shop_owner:${mask}@127.0.0.1:6432/shop_production?sslmode=require`,
    )
  })
  it('does not touch a URL without a password', () => {
    const bare = { ...connection, url: 'postgresql://shop_owner@h/db', password: '' }
    expect(withPassword(bare, 'x').url).toBe(bare.url)
  })
})

describe('snippets', () => {
  it('quote for the shell', () => {
    expect(shellQuote("a'b c")).toBe(`'a'\\''b c'`)
    expect(snippets(connection).find((s) => s.id === 'psql')?.text).toBe(`psql '${connection.url}'`)
  })
  it('put the password into code of no program', () => {
    for (const id of ['node', 'go', 'python', 'drizzle']) {
      expect(snippets(connection).find((s) => s.id === id)?.text).not.toContain('s3cret')
    }
  })
  it('write IPv6 addresses as JDBC wants them', () => {
    const text = snippets({ ...connection, host: '::1' }).find((s) => s.id === 'jdbc')?.text
    expect(text).toContain('jdbc:postgresql://[::1]:6432/')
  })
})
