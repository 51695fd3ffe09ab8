// An admin names an OpenID Connect provider in the console; whom it vouches for and an admin knows signs in with it and lands where that one
// wanted to go; nobody else does, and is told why.
import { startProvider } from '../provider.mjs'

// Not the address that the console is at: the way goes to another site and back.
const host = '127.0.0.2'
const secret = 'the secret of this client'

export default async function ({ base, token, open, check, shots }) {
  const provider = await startProvider({
    host,
    client: 'holdfast',
    secret,
    people: {
      nora: { sub: '1', email: 'nora@example.com', email_verified: true },
      mallory: { sub: '2', email: 'mallory@example.com', email_verified: true },
      liar: { sub: '3', email: 'nora@example.com', email_verified: false },
    },
  })
  try {
    await signIn(provider, { base, token, open, check, shots })
  } finally {
    provider.close()
  }
}

async function signIn(provider, { base, token, open, check, shots }) {
  const call = async (method, path, body) => {
    const response = await fetch(`${base}/api/v1${path}`, {
      method,
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
      body: body && JSON.stringify(body),
    })
    check(response.ok, `${method} ${path}: ${response.status}`)
    return response.status === 204 ? null : response.json()
  }
  await call('POST', '/people', { name: 'nora', password: 'a long password', email: 'nora@example.com' })
  await call('PUT', '/projects/shop/members/nora', { role: 'viewer' })

  const admin = await open({ expected: [424] })
  await admin.goto('/people')
  await admin.getByRole('button', { name: 'Name a provider' }).click()
  const dialog = admin.getByRole('dialog')
  const save = dialog.getByRole('button', { name: 'Save' })
  await dialog.getByLabel('Name', { exact: true }).fill('Example Inc.')
  await dialog.getByLabel('Issuer').fill('http://127.0.0.2:1')
  await dialog.getByLabel('Client ID').fill('holdfast')
  check(await save.isDisabled(), 'a provider without a secret can be saved')
  await dialog.getByLabel('Client secret').fill(secret)
  await save.click()
  await dialog.getByRole('alert').getByText('cannot be asked').waitFor()
  await dialog.getByLabel('Issuer').fill(provider.issuer)
  await save.click()
  await dialog.waitFor({ state: 'detached' })
  await admin.getByText(provider.issuer, { exact: true }).waitFor()
  await admin.getByText(`${base}/api/v1/login/oidc/callback`, { exact: true }).waitFor()
  check(!(await admin.content()).includes(secret), 'the secret is shown')
  shots && (await admin.screenshot({ path: `${shots}/provider.png`, fullPage: true }))

  const page = await open({ token: null, expected: [401] })
  await page.goto('/projects/shop/publish')
  await page.getByRole('link', { name: 'Sign in with Example Inc.' }).click()
  await page.waitForURL(`${provider.issuer}/authorize**`)
  await page.getByRole('link', { name: 'Sign in as nora' }).click()
  await page.waitForURL(`${base}/projects/shop/publish`)
  await page.getByRole('heading', { name: 'Publish', exact: true }).waitFor()
  const cookies = await page.context().cookies()
  const session = cookies.find((c) => c.name.startsWith('holdfast_session'))
  check(session?.httpOnly === true && session.sameSite === 'Strict', `the session's cookie is ${JSON.stringify(session)}`)
  check(!cookies.some((c) => c.name.startsWith('holdfast_signin') && c.domain === '127.0.0.1'), 'what ties the way back to the browser is kept on')
  await page.reload()
  await page.getByRole('heading', { name: 'Publish', exact: true }).waitFor()

  for (const [who, why] of [
    ['mallory', 'known here'],
    ['liar', 'verify'],
  ]) {
    const other = await open({ token: null, expected: [401] })
    await other.goto('/projects')
    await other.getByRole('link', { name: 'Sign in with Example Inc.' }).click()
    await other.getByRole('link', { name: `Sign in as ${who}` }).click()
    await other.waitForURL(/\/login\?oidc=refused/)
    await other.getByRole('alert').getByText(why).first().waitFor()
    check(!(await other.context().cookies()).some((c) => c.name.startsWith('holdfast_session')), `${who} is in`)
  }
  const trail = (await call('GET', '/audit?limit=100')).items
  check(trail.some((e) => e.action === 'login' && e.subject === 'nora' && e.detail.by === 'oidc'), 'the sign-in is not in the trail')
  check(trail.filter((e) => e.action === 'login.failed' && e.detail?.by === 'oidc').length >= 2, 'the refusals are not in the trail')

  await admin.getByRole('button', { name: 'Remove the provider' }).click()
  await dialog.getByRole('button', { name: 'Remove', exact: true }).click()
  await admin.getByText('No provider', { exact: true }).waitFor()
  const late = await open({ token: null, expected: [401] })
  await late.goto('/projects')
  await late.getByLabel('Password').waitFor()
  await late.waitForLoadState('networkidle')
  check((await late.getByText('Example Inc.').count()) === 0, 'the provider is still offered')
  await call('DELETE', '/people/nora')
}

export const expectedComplaint = /^asked for http:\/\/127\.0\.0\.2:\d+$/
