// Structure: what a table is made of, made and changed in development by forms that show their SQL first; names that are text; production
// shows its structure and points to Publish; who may not write finds no form.
const evil = `<img src=x onerror="window.pwned=3">`

export default async function ({ open, check, base, token }) {
  const send = async (path, body) => {
    const response = await fetch(`${base}/api/v1${path}`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    })
    const answer = await response.json()
    check(response.ok && !answer.error, JSON.stringify(answer))
    return answer
  }
  const sql = async (text) => (await send('/projects/shop/branches/development/sql', { sql: text, write: true })).results
  const page = await open({})
  await page.goto('/projects/shop/branches/development/structure')

  // A table is made; nothing runs before its SQL was shown.
  await page.getByRole('button', { name: 'New table' }).click()
  const dialog = page.getByRole('dialog')
  const shown = page.getByTestId('change-sql')
  const button = (name) => dialog.getByRole('button', { name, exact: true })
  check(await button('Create table').isDisabled(), 'a table without a name can be made')
  await dialog.getByLabel('Name', { exact: true }).fill('built')
  await button('Add column').click()
  await dialog.getByLabel('Name of column 2').fill('no"te')
  await dialog.getByLabel('Default of column 2').fill(`'x'`)
  await dialog.getByLabel('Comment').fill(evil)
  const made = await shown.innerText()
  check(made.includes('CREATE TABLE "public"."built" (') && made.includes(`"no""te" text DEFAULT 'x'`) && made.startsWith('BEGIN;'), `shown was ${made}`)
  const [before] = await sql(`SELECT to_regclass('built') IS NULL`)
  check(before.rows[0][0] === 't', 'it was made before it was asked for')
  await button('Create table').click()
  await dialog.waitFor({ state: 'detached' })
  await page.getByText(evil).waitFor()
  await page.getByRole('cell', { name: 'no"te', exact: true }).waitFor()

  // What is refused says why, and the form stays.
  await page.getByRole('button', { name: 'Add column' }).click()
  await dialog.getByLabel('Name', { exact: true }).fill('n')
  await dialog.getByLabel('Type', { exact: true }).fill('no_such_type')
  await button('Add column').click()
  await dialog.getByRole('alert').getByText('does not exist').waitFor()
  await dialog.getByLabel('Type', { exact: true }).fill('text')
  await button('Add column').click()
  await dialog.waitFor({ state: 'detached' })
  await page.getByRole('button', { name: 'Change n', exact: true }).click()
  await dialog.getByLabel('Name', { exact: true }).fill('amount')
  await dialog.getByLabel('Type', { exact: true }).fill('integer')
  await dialog.getByLabel('Using').fill('n::integer')
  await dialog.getByLabel('Default').fill('0')
  await dialog.getByRole('checkbox', { name: 'Required' }).click()
  await button('Change column').click()
  await dialog.waitFor({ state: 'detached' })
  await page.getByRole('row', { name: /^amount required integer 0/ }).waitFor()

  const tab = (name) => page.getByRole('tab', { name }).click()
  await tab(/^Keys/)
  await page.getByRole('cell', { name: 'PRIMARY KEY (id)' }).waitFor()
  await page.getByRole('button', { name: 'Add constraint' }).click()
  await dialog.getByLabel('Kind').click()
  await page.getByRole('option', { name: 'check' }).click()
  await dialog.getByLabel('Name', { exact: true }).fill('positive')
  await dialog.getByLabel('Expression').fill('amount >= 0')
  await button('Add constraint').click()
  await dialog.waitFor({ state: 'detached' })
  await page.getByRole('cell', { name: 'CHECK ((amount >= 0))' }).waitFor()
  await page.getByRole('button', { name: 'Drop positive' }).click()
  check((await shown.innerText()).trim() === 'ALTER TABLE "public"."built" DROP CONSTRAINT "positive";', `shown was ${await shown.innerText()}`)
  await button('Drop').click()
  await page.getByRole('cell', { name: 'CHECK ((amount >= 0))' }).waitFor({ state: 'detached' })

  await tab(/^Indexes/)
  await page.getByRole('button', { name: 'Add index' }).click()
  await dialog.getByRole('checkbox', { name: 'amount' }).click()
  await button('Create index').click()
  await page.getByRole('cell', { name: /USING btree \(amount\)/ }).waitFor()

  await tab(/^Policies/)
  await page.getByRole('button', { name: 'Turn on' }).click()
  await button('Turn on').click()
  await page.getByText('Row security is on').waitFor()
  await page.getByRole('button', { name: 'Add policy' }).click()
  await dialog.getByLabel('Name', { exact: true }).fill('mine')
  await dialog.getByLabel('Rows that can be seen').fill('amount > 1')
  await button('Create policy').click()
  await page.getByRole('cell', { name: '(amount > 1)' }).waitFor()

  await sql(`CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER touched BEFORE UPDATE ON built EXECUTE FUNCTION touch();
    CREATE SCHEMA "${evil.replaceAll('"', '""')}"; CREATE TABLE "${evil.replaceAll('"', '""')}"."a/b" ("${evil.replaceAll('"', '""')}" int)`)
  await page.reload()
  const choose = async (name) => {
    await page.getByRole('combobox', { name: 'Table' }).click()
    await page.getByRole('option', { name, exact: true }).click()
  }
  await choose(`${evil}.a/b`)
  await page.getByRole('cell', { name: evil, exact: true }).waitFor()
  await choose('built')
  await tab(/^Triggers/)
  await page.getByRole('button', { name: 'Disable' }).click()
  await button('Disable').click()
  await page.getByText('disabled', { exact: true }).waitFor()
  await tab('SQL')
  const text = await page.getByTestId('table-sql').innerText()
  for (const part of ['CREATE TABLE public.built', 'CREATE INDEX', 'CREATE TRIGGER touched', 'CREATE POLICY mine', 'ENABLE ROW LEVEL SECURITY']) check(text.includes(part), `${part} is not in ${text}`)
  check(text.startsWith('CREATE TABLE') && !text.includes('restrict'), `the SQL is ${text}`)

  await page.getByRole('link', { name: 'Rows' }).click()
  await page.getByRole('columnheader', { name: 'amount' }).waitFor()
  await page.getByRole('link', { name: 'Structure', exact: true }).first().click()
  await page.getByRole('button', { name: 'Drop', exact: true }).waitFor()
  await choose('built')
  await page.getByRole('button', { name: 'Drop', exact: true }).click()
  await page.getByRole('dialog', { name: 'Drop built?' }).getByRole('button', { name: 'Drop', exact: true }).click()
  await dialog.waitFor({ state: 'detached' })
  const [after] = await sql(`SELECT to_regclass('built') IS NULL`)
  check(after.rows[0][0] === 't', 'it was not dropped')

  const production = await open({})
  await production.goto('/projects/shop/branches/production/structure')
  await production.getByRole('link', { name: 'Publish' }).last().waitFor()
  await production.getByText('structure changes by publishing').waitFor()
  check((await production.getByRole('button', { name: 'New table' }).count()) === 0, 'production’s structure can be changed by hand')

  const viewer = await send('/tokens', { kind: 'user', name: 'looker', right: 'read', project: 'shop' })
  const theirs = await open({ token: viewer.secret })
  await theirs.goto('/projects/shop/branches/development/structure')
  await theirs.getByRole('combobox', { name: 'Table' }).waitFor()
  check((await theirs.getByRole('button', { name: /New table|Drop|Add/ }).count()) === 0, 'a viewer finds a form')
  check((await page.evaluate(() => window.pwned)) === undefined, 'a name was run')
}
