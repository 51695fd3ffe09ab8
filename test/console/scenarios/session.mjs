// A token that ends leads to the login and back; a wrong one is refused with the reason; nobody is led to another site.
export default async function ({ base, token, open, check }) {
  const call = (method, path, body) =>
    fetch(base + path, {
      method,
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
      body: body && JSON.stringify(body),
    })
  const made = await (await call('POST', '/api/v1/tokens', { name: 'short', kind: 'user', right: 'read' })).json()
  const page = await open({ token: made.secret, expected: [401, 403] })
  await page.goto('/projects/shop/branches/development/settings')
  await page.getByRole('textbox', { name: 'work_mem', exact: true }).waitFor()
  const gone = await call('DELETE', `/api/v1/tokens/${made.token.id}`)
  check(gone.ok, `the token could not be revoked: ${gone.status}`)
  await page.getByRole('heading', { name: 'Sign in to Holdfast' }).waitFor() // without a touch: the page asks for states
  await page.getByRole('button', { name: 'Use a token' }).click()
  await page.getByLabel('Token').fill('hf_user_wrong')
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('alert').getByText('The token is not valid').waitFor()
  await page.getByLabel('Token').fill(token)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('textbox', { name: 'work_mem', exact: true }).waitFor()
  check(new URL(page.url()).pathname === '/projects/shop/branches/development/settings', `came back to ${page.url()}`)
  check((await page.evaluate(() => Object.keys(localStorage).length)) === 0, 'something was kept beyond the tab')
  check((await page.context().cookies()).length === 0, 'a cookie was set')

  await page.getByRole('button', { name: 'Appearance and session' }).click()
  await page.getByRole('menuitem', { name: 'Sign out' }).click()
  await page.getByLabel('Name').waitFor()
  await page.goto('/login?to=//evil.example/')
  await page.getByRole('button', { name: 'Use a token' }).click()
  await page.getByLabel('Token').fill(token)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.waitForURL(`${base}/projects`)

  // Somebody who may only read is told so, and by whom it can be changed.
  const reader = await (await call('POST', '/api/v1/tokens', { name: 'reader', kind: 'user', right: 'read' })).json()
  const second = await open({ token: reader.secret, expected: [403] })
  await second.goto('/projects/shop')
  await second.getByRole('region', { name: 'production' }).getByRole('button', { name: 'Connect' }).click()
  await second.getByRole('dialog').getByRole('alert').getByText('may not do that').waitFor()

  // A person signs in with a password; a session that is ended elsewhere leads to the login.
  await call('POST', '/api/v1/people', { name: 'vera', password: 'a long password' })
  await call('PUT', '/api/v1/projects/shop/members/vera', { role: 'viewer' })
  const third = await open({ token: null, expected: [401, 403] })
  await third.goto('/projects/shop')
  await third.getByLabel('Name').fill('vera')
  await third.getByLabel('Password').fill('not the password')
  await third.getByRole('button', { name: 'Sign in' }).click()
  await third.getByRole('alert').getByText('is wrong').waitFor()
  await third.getByLabel('Password').fill('a long password')
  await third.getByRole('button', { name: 'Sign in' }).click()
  await third.getByRole('heading', { name: /^development$/i }).waitFor()
  await call('POST', '/api/v1/people/vera/logout')
  await third.getByRole('heading', { name: 'Sign in to Holdfast' }).waitFor()
}
