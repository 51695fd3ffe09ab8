// A small OpenID Connect provider with a page to sign in at. It checks the client, the redirect and PKCE, and signs tokens.
import { createHash, createSign, generateKeyPairSync, randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'

const part = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

/** Starts one on an address that is not the server's own. people says what it claims of each name that can be chosen at it. */
export async function startProvider({ host, client, secret, people }) {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const codes = new Map()
  let issuer = ''
  const token = (claims) => {
    const body = `${part({ alg: 'RS256', kid: '1' })}.${part(claims)}`
    return `${body}.${createSign('RSA-SHA256').update(body).sign(privateKey).toString('base64url')}`
  }
  const redeem = (form, authorization) => {
    const [id, given] = Buffer.from((authorization ?? '').replace('Basic ', ''), 'base64').toString().split(':').map((text) => decodeURIComponent(text.replaceAll('+', ' ')))
    const asked = codes.get(form.get('code'))
    codes.delete(form.get('code'))
    const proof = createHash('sha256').update(form.get('code_verifier') ?? '').digest('base64url')
    if (!asked || id !== client || given !== secret || asked.redirect_uri !== form.get('redirect_uri') || asked.code_challenge !== proof) return null
    const now = Math.floor(Date.now() / 1000)
    const claims = { iss: issuer, aud: client, iat: now, exp: now + 600, nonce: asked.nonce, ...people[asked.who] }
    return { access_token: 'a', token_type: 'Bearer', id_token: token(claims) }
  }
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, issuer)
    const json = (value, status = 200) => {
      response.writeHead(status, { 'Content-Type': 'application/json' })
      response.end(JSON.stringify(value))
    }
    if (url.pathname === '/.well-known/openid-configuration') {
      json({
        issuer,
        authorization_endpoint: `${issuer}/authorize`,
        token_endpoint: `${issuer}/token`,
        jwks_uri: `${issuer}/keys`,
        id_token_signing_alg_values_supported: ['RS256'],
      })
    } else if (url.pathname === '/keys') {
      json({ keys: [{ ...publicKey.export({ format: 'jwk' }), alg: 'RS256', use: 'sig', kid: '1' }] })
    } else if (url.pathname === '/authorize') {
      response.writeHead(200, { 'Content-Type': 'text/html' })
      const links = Object.keys(people).map((who) => `<p><a href="/choose?who=${who}&amp;${url.searchParams.toString().replaceAll('&', '&amp;')}">Sign in as ${who}</a>`)
      response.end(`<!doctype html><title>Provider</title><link rel="icon" href="data:,"><h1>Who are you?</h1>${links.join('')}`)
    } else if (url.pathname === '/choose') {
      const asked = Object.fromEntries(url.searchParams)
      const code = randomUUID()
      codes.set(code, asked)
      response.writeHead(302, { Location: `${asked.redirect_uri}?${new URLSearchParams({ code, state: asked.state })}` })
      response.end()
    } else if (url.pathname === '/token') {
      const answer = redeem(new URLSearchParams(await text(request)), request.headers.authorization)
      json(answer ?? { error: 'invalid_grant' }, answer ? 200 : 400)
    } else {
      json({}, 404)
    }
  })
  await new Promise((resolve) => server.listen(0, host, resolve))
  issuer = `http://${host}:${server.address().port}`
  return {
    issuer,
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}
