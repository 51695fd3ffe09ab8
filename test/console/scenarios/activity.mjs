// The audit trail is filtered by the server, shown in full with what was before and after, exported, and checked; a trail that was tampered with is
// said to be so.
import { readFile } from 'node:fs/promises'

export default async function ({ base, token, open, check, until, shots }) {
  const call = (method, path, body) =>
    fetch(base + path, {
      method,
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
      body: body && JSON.stringify(body),
    })
  await call('POST', '/api/v1/people', { name: 'gil', password: 'a long password' })
  await call('PUT', '/api/v1/projects/shop/members/gil', { role: 'viewer' })
  await call('PUT', '/api/v1/projects/shop/members/gil', { role: 'developer' })
  await call('POST', '/api/v1/login', { name: 'gil', password: 'not the password' })

  const page = await open()
  await page.goto('/activity')
  const entries = page.getByRole('table', { name: 'Entries' })
  await entries.getByText('Login failed').first().waitFor()
  const rows = () => entries.getByRole('row').count()
  await page.getByLabel('What').fill('member.set')
  await page.getByLabel('On', { exact: true }).fill('gil')
  await until('only the two roles of gil are shown', async () => (await rows()) === 3)
  await entries.getByRole('button', { name: /^Entry \d+$/ }).first().click()
  const whole = entries.locator('pre')
  const detail = JSON.parse(await whole.innerText())
  check(detail.before.role === 'viewer' && detail.after.role === 'developer', `the change is told as ${JSON.stringify(detail)}`)
  shots && (await page.screenshot({ path: `${shots}/activity.png` }))

  const exported = async (name) => {
    await page.getByRole('button', { name: 'Export' }).click()
    const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('menuitem', { name }).click()])
    return (await readFile(await file.path(), 'utf8')).trim().split(/\r?\n/)
  }
  const csv = await exported('What the filter shows, as CSV')
  check(csv.length === 3 && csv[0] === 'number,at,who,what,on,from,detail,hash', `the CSV is ${csv.join('\n')}`)
  await page.getByRole('button', { name: 'Show everything' }).click()
  const lines = (await exported('The whole trail, one JSON object a line')).map((line) => JSON.parse(line))
  check(lines.every((e, i) => e.seq === i + 1), 'the export leaves entries out')
  check(lines.some((e) => e.action === 'login.failed' && e.subject === 'gil'), 'the failed login is not in the trail')

  await page.getByLabel('Until').fill('2001-01-01T00:00')
  await page.getByText('Nothing matches').waitFor()
  await page.getByRole('button', { name: 'Check the trail' }).click()
  const said = page.getByText(/^The trail is whole: [\d\u202f]+ entries\.$/)
  await said.waitFor()
  check(new RegExp(`${lines.at(-1).hash.slice(0, 8)}|:[0-9a-f]{64}`).test(await page.getByRole('main').innerText()), 'the end of the trail is not shown')

  // What the server says of a trail that was tampered with is what the person reads.
  await page.route('**/api/v1/audit/verify', (route) =>
    route.fulfill({
      status: 500,
      contentType: 'application/problem+json',
      body: JSON.stringify({ code: 'corrupt', status: 500, title: 'corrupt', detail: 'the audit trail was tampered with at entry 3' }),
    }),
  )
  await page.getByRole('button', { name: 'Check the trail' }).click()
  await page.getByRole('alert').getByText('The audit trail was tampered with at entry 3').waitFor()
  check((await said.count()) === 0, 'a trail that was tampered with is still called whole')
  await call('DELETE', '/api/v1/people/gil')
}

export const expectedComplaint = /status of 500/
