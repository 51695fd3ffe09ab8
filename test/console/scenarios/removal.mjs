// A project's settings are saved; it is removed with its name typed, waits in the list with its countdown, and comes back whole.
export default async function ({ base, token, open, check, until }) {
  const call = async (method, path, body) => {
    const answer = await fetch(`${base}/api/v1${path}`, {
      method,
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
      body: body && JSON.stringify(body),
    })
    check(answer.ok, `${method} ${path}: ${answer.status} ${await answer.clone().text()}`)
    return answer.status === 204 ? null : answer.json()
  }
  const job = await call('POST', '/projects', { name: 'shed' })
  await until('the project is there', async () => (await call('GET', `/jobs/${job.id}`)).state === 'succeeded')
  const page = await open({ expected: [404, 409, 412, 422] })
  await page.goto('/projects/shed')
  await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Settings' }).click()
  const command = page.getByRole('textbox', { name: 'Command' })
  await command.fill('exit 0')
  await page.getByRole('textbox', { name: 'At most, in seconds' }).fill('60')
  await page.getByRole('button', { name: 'Save hooks' }).click()
  await page.getByText('Hooks saved').waitFor()
  await page.reload()
  await until('the saved hook is shown', async () => (await command.inputValue()) === 'exit 0')

  // How far back the history of a branch reaches.
  await page.getByRole('link', { name: 'Settings of development' }).click()
  await page.getByRole('combobox', { name: 'History reaches back' }).click()
  await page.getByRole('option', { name: '14 d' }).click()
  await page.getByRole('button', { name: 'Save one change' }).click()
  await page.getByText('Saved', { exact: true }).waitFor()
  const settings = await call('GET', '/projects/shed/branches/development/settings')
  check(settings.history_window_seconds === 14 * 86400, `the window is ${settings.history_window_seconds}`)

  await page.goto('/projects/shed/settings')
  await page.getByRole('button', { name: 'Remove database…' }).click()
  const dialog = page.getByRole('dialog', { name: 'Remove the databases of shed?' })
  await dialog.getByText('PRODUCTION', { exact: true }).waitFor()
  const yes = dialog.getByRole('button', { name: 'Yes, Remove database' })
  await dialog.getByRole('textbox', { name: 'Type shed to go on' }).fill('she')
  check(await yes.isDisabled(), 'half the name is enough')
  await dialog.getByRole('textbox', { name: 'Type shed to go on' }).fill('shed')
  await dialog.getByRole('checkbox', { name: 'For good at once' }).click()
  check(await yes.isDisabled(), 'for good takes no second name')
  await dialog.getByRole('checkbox', { name: 'For good at once' }).click()
  await yes.click()
  await page.getByRole('heading', { name: 'Removed', exact: true }).waitFor({ timeout: 120_000 })
  const row = page.getByRole('row').filter({ hasText: 'shed' })
  await row.waitFor()
  const left = row.locator('time').last()
  check(/^6 d 23:59:\d\d$/.test(await left.innerText()), `the countdown says ${await left.innerText()}`)
  const before = await left.innerText()
  await until('the countdown runs', async () => (await left.innerText()) !== before)
  check((await fetch(`${base}/api/v1/projects/shed`, { headers: { Authorization: `Bearer ${token}` } })).status === 404, 'the project is still there')
  await page.getByRole('button', { name: 'Bring shed back' }).click()
  await page.getByText('shed is back').waitFor({ timeout: 120_000 })
  await row.waitFor({ state: 'detached' })
  check((await call('GET', '/projects/shed')).branches.length === 2, 'not all of it came back')
}
