// Development's structure goes to production and back: planned, a question answered, drift adopted, rehearsed, approved, applied with
// its log, reverted. Who may not approve finds nothing to approve with.
export default async function ({ base, token, open, check, until, shots }) {
  const call = async (method, path, body) => {
    const answer = await fetch(`${base}/api/v1${path}`, {
      method,
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
      body: body && JSON.stringify(body),
    })
    check(answer.ok, `${method} ${path}: ${answer.status} ${await answer.clone().text()}`)
    return answer.status === 204 ? null : answer.json()
  }
  const sql = async (branch, text) => {
    const answer = await call('POST', `/projects/store/branches/${branch}/sql`, { sql: text, write: true })
    check(!answer.error, `${text}: ${JSON.stringify(answer.error)}`)
    return answer.results.at(-1)
  }
  const job = await call('POST', '/projects', { name: 'store' })
  await until('the project is there', async () => (await call('GET', `/jobs/${job.id}`)).state === 'succeeded')
  await sql('development', 'CREATE TABLE customers (id int PRIMARY KEY, fullname text NOT NULL, shoe int)')

  const page = await open({ expected: [409, 412, 422] })
  const state = (name) => page.locator(`h1 [data-state="${name}"]`)
  const slow = { timeout: 150_000 }
  await page.goto('/projects/store')
  await page.getByRole('link', { name: 'Publish', exact: true }).click()
  await page.getByText('Nothing was published yet').waitFor()
  await page.getByRole('button', { name: 'Plan a publish' }).click()
  await page.getByRole('heading', { name: /^Publish 1/ }).waitFor()
  await page.getByRole('list', { name: 'Statements' }).getByText('CREATE TABLE').first().waitFor()
  await page.getByRole('button', { name: 'Rehearse', exact: true }).click()
  await state('ready').waitFor(slow)
  const apply = async (consents) => {
    await page.getByRole('button', { name: 'Apply to production…' }).click()
    const dialog = page.getByRole('dialog', { name: /^Apply publish/ })
    await dialog.getByText('PRODUCTION', { exact: true }).waitFor()
    for (const consent of consents) {
      check(await dialog.getByRole('button', { name: 'Approve and apply' }).isDisabled(), 'it can be applied without consent')
      await dialog.getByRole('checkbox', { name: consent }).click()
    }
    await dialog.getByRole('textbox', { name: 'Type store to go on' }).fill('store')
    await dialog.getByRole('button', { name: 'Approve and apply' }).click()
    await state('published').waitFor(slow)
  }
  await apply([])

  await sql('production', "INSERT INTO customers SELECT n, 'c' || n, 40 FROM generate_series(1, 500) n; CREATE TABLE hot (id int)")
  await sql('development', 'ALTER TABLE customers DROP fullname; ALTER TABLE customers ADD display_name text; ALTER TABLE customers DROP shoe; CREATE INDEX ON customers (display_name)')
  await page.goto('/projects/store/publish')
  await page.getByRole('button', { name: 'Plan a publish' }).click()
  await state('needs answer').waitFor()
  await page.getByText('is it the same column under another name, or is it dropped?').first().waitFor()
  await page.getByRole('radio', { name: /fullname is now called display_name/ }).check()
  if (shots) await page.screenshot({ path: `${shots}/publish-question.png`, fullPage: true })
  await page.getByRole('button', { name: 'Give the answer' }).click()
  await state('planned').waitFor()
  await page.getByText('column public.customers.fullname is column public.customers.display_name now (as answered)').waitFor()

  await page.getByRole('button', { name: 'Adopt table public.hot' }).click()
  const adopting = page.getByRole('dialog', { name: 'Taking it into development' })
  await adopting.getByText('Succeeded').waitFor(slow)
  await adopting.getByRole('button', { name: 'Close' }).last().click()
  await page.getByRole('heading', { name: 'Drift' }).waitFor({ state: 'detached' })
  check((await sql('development', 'SELECT count(*) FROM hot')).rows[0][0] === '0', 'the drift was not adopted')

  await page.getByRole('button', { name: 'Rehearse', exact: true }).click()
  await state('ready').waitFor(slow)
  const report = page.getByTestId('report')
  for (const part of ['What stands between this and production', /^Data/, 'The result is what it should be']) {
    await report.getByRole('heading', { name: part }).waitFor()
  }
  await page.reload()
  await report.getByText('Rows compared').waitFor()

  if (shots) await page.screenshot({ path: `${shots}/publish-ready.png`, fullPage: true })

  // A developer, a viewer and an agent see it and find no way to approve it.
  for (const [kind, right] of [['user', 'write'], ['user', 'read'], ['agent', 'write']]) {
    const made = await call('POST', '/tokens', { name: `${kind} ${right}`, kind, right, project: 'store' })
    const other = await open({ token: made.secret, expected: [403] })
    await other.goto(page.url())
    await other.getByText('An admin of the project can apply it to production.').waitFor()
    check((await other.getByRole('button', { name: /Apply|Approve|Revert/ }).count()) === 0, `${kind} ${right} finds a way to approve`)
    check((await other.getByRole('button', { name: /Rehearse/ }).count()) === (right === 'write' ? 1 : 0), `${kind} ${right} and the rehearsal`)
    await other.context().close()
  }

  await apply(['Values are lost', 'Running code will fail'])
  const real = page.getByRole('table', { name: 'Predicted and real' })
  await real.getByText('done').first().waitFor()
  check(!(await real.getByText('running').count()), 'a statement still runs')
  await page.getByRole('log', { name: 'Log of the publish' }).getByText('predicted').first().waitFor()
  check((await sql('production', 'SELECT count(display_name) FROM customers')).rows[0][0] === '500', 'the names are gone')

  if (shots) await page.screenshot({ path: `${shots}/publish-applied.png`, fullPage: true })
  await page.getByRole('button', { name: 'Revert…' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Plan the way back' }).click()
  await page.getByRole('heading', { name: /^Publish 3/ }).waitFor()
  await page.getByText('Way back of 2').waitFor()
  await state('planned').waitFor()
  await page.getByRole('button', { name: 'Rehearse', exact: true }).click()
  await state('ready').waitFor(slow)
  await apply((await report.getByText('takes consent: lossy').count()) > 0 ? ['Values are lost', 'Running code will fail'] : ['Running code will fail'])
  check((await sql('production', 'SELECT count(fullname) || $$ $$ || sum(shoe) FROM customers')).rows[0][0] === '500 20000', 'the columns did not come back with their values')
  await page.goto('/projects/store/publish')
  await page.locator('tbody [data-state=reverted]').waitFor()
  if (shots) await page.screenshot({ path: `${shots}/publishes.png` })
}
