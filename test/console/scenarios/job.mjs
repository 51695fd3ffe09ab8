// A job goes on while its page is loaded again, shows its log, and is canceled.
export default async function ({ open, check, until }) {
  const page = await open({ expected: [404, 409] })
  await page.goto('/new-project')
  await page.getByLabel('Name', { exact: true }).fill('large')
  await page.getByRole('combobox', { name: 'Size of the sample' }).click()
  await page.getByRole('option', { name: '1 000 000' }).click()
  await page.getByRole('button', { name: 'Create project' }).click()
  await page.getByRole('progressbar').waitFor()
  const id = new URL(page.url()).searchParams.get('job')
  await page.goto(`/jobs/${id}`)
  const log = page.getByRole('log')
  await log.getByText('loading sample data').waitFor()
  await page.reload()
  await log.getByText('loading sample data').waitFor()
  await log.getByText('making the databases').waitFor()
  const bar = page.getByRole('progressbar')
  const at = async () => Number((await bar.getAttribute('aria-valuenow')) ?? -1)
  const first = await until('the job says how far it is', async () => ((await at()) >= 0 ? (await at()) + 1 : 0))
  await until('the bar moves without a reload', async () => (await at()) + 1 > first)
  await page.getByRole('button', { name: 'Cancel the job…' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel the job' }).click()
  await page.locator('[data-state=canceled]').first().waitFor({ timeout: 90_000 })

  // An answer that is older than what the stream of events told already does not bring the job back to life.
  const ended = page.locator('[data-state=canceled]').first()
  const late = new Promise((done) => {
    page.route(new RegExp(`/jobs/${id}$`), async (route) => {
      if (route.request().resourceType() === 'document') return route.continue()
      const answer = await route.fetch()
      const job = await answer.json()
      await ended.waitFor()
      await route.fulfill({ response: answer, json: { ...job, state: 'running' } })
      done()
    })
  })
  await page.goto(`/new-project?job=${id}`)
  await late
  for (let frame = 0; frame < 30; frame++) await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(drawn)))
  check((await page.locator('[data-state=running]').count()) === 0, 'a late answer shows an ended job as running')
  await page.unrouteAll()

  await page.goto('/jobs')
  await page.getByRole('row', { name: /large.*Canceled/ }).waitFor()
  await page.goto('/projects')
  await page.getByRole('link', { name: 'shop' }).first().waitFor()
  check((await page.getByRole('heading', { name: 'large' }).count()) === 0, 'the canceled project is still there')
  return { id }
}
