// Every control of every screen has a name that a screen reader can say, as Chromium itself computes it; and every screen has one heading of
// the first level and a title of its own.
const named = new Set([
  'button', 'link', 'textbox', 'searchbox', 'combobox', 'checkbox', 'radio', 'switch', 'tab', 'menuitem', 'menuitemradio', 'menuitemcheckbox',
  'spinbutton', 'slider', 'dialog', 'alertdialog', 'grid', 'progressbar', 'image', 'img', 'treegrid', 'tree', 'listbox',
])

/** The controls of a page that have no name, each as its HTML. */
async function nameless(page, client) {
  const { nodes } = await client.send('Accessibility.getFullAXTree')
  const bad = nodes.filter((n) => !n.ignored && named.has(n.role?.value) && !n.name?.value?.trim() && n.backendDOMNodeId !== undefined)
  const out = []
  for (const node of bad) {
    const { outerHTML } = await client.send('DOM.getOuterHTML', { backendNodeId: node.backendDOMNodeId })
    out.push(`${node.role.value}: ${outerHTML.slice(0, 200)}`)
  }
  return out
}

export default async function ({ base, token, open, check }) {
  const get = async (path) => (await (await fetch(base + path, { headers: { Authorization: `Bearer ${token}` } })).json()).items
  const [job] = await get('/api/v1/jobs?limit=1')
  const [backup] = await get('/api/admin/backups')
  const [publish] = await get('/api/v1/projects/shop/publishes')
  const development = '/projects/shop/branches/development'
  const screens = {
    '/projects': 'shop',
    '/new-project': 'Begin with sample data',
    '/projects/shop': 'Lately',
    '/projects/shop/branches': 'development',
    '/projects/shop/masking': 'Masking',
    '/projects/shop/publish': 'Plan a publish',
    ...(publish && { [`/projects/shop/publish/${publish.number}`]: `${publish.number}` }),
    '/projects/shop/members': 'Members',
    '/projects/shop/usage': 'This billing period',
    '/projects/shop/settings': 'shop',
    [development]: 'Identity',
    [`${development}/data?table=%22public%22.%22startups%22`]: 'sector',
    [`${development}/structure`]: 'Columns',
    [`${development}/history`]: 'Go back',
    [`${development}/rescue`]: 'Bring single rows back',
    [`${development}/monitoring`]: 'Measured once a minute',
    [`${development}/sql`]: 'Run',
    [`${development}/settings`]: 'PostgreSQL parameters',
    [`${development}/extensions`]: 'citext',
    '/projects/shop/branches/production/data': 'Edit',
    '/people': 'OpenID Connect',
    '/usage': 'Prices',
    '/alerts': 'Thresholds',
    '/removed': 'What is no longer here',
    '/jobs': 'Jobs',
    ...(job && { [`/jobs/${job.id}`]: 'Log' }),
    '/activity': 'Who did what',
    '/tokens': 'first admin',
    '/admin/backups': 'Backups',
    '/admin/backups/schedules': 'Schedules',
    '/admin/backups/destinations': 'Destinations',
    ...(backup && { [`/admin/backups/${backup.id}`]: backup.name }),
    '/server': 'Known as',
  }
  const page = await open({ expected: [404] }) // a backup that was never proved has no report
  const client = await page.context().newCDPSession(page)
  await client.send('Accessibility.enable')
  await client.send('DOM.enable')
  const faults = []
  const titles = new Map()
  for (const [path, text] of Object.entries(screens)) {
    await page.goto(path)
    await page.locator('#content').getByText(text).filter({ visible: true }).first().waitFor()
    for (const fault of await nameless(page, client)) faults.push(`${path}: ${fault}`)
    const headings = await page.locator('h1:visible').count()
    if (headings !== 1) faults.push(`${path}: ${headings} headings of the first level`)
    const title = await page.title()
    if (titles.has(title)) faults.push(`${path}: the title ${title} is that of ${titles.get(title)}`)
    titles.set(title, path)
  }
  // What opens over a screen.
  for (const [path, name] of [
    ['/projects/shop', 'Connect'],
    ['/usage', 'Change the prices'],
    ['/usage', 'Add a budget'],
    ['/alerts', 'Change the thresholds'],
    ['/alerts', 'Add a channel'],
    ['/people', 'Name a provider'],
    ['/people', 'Invite'],
    ['/people', 'Add with a password'],
    ['/tokens', 'New token'],
    [`${development}/structure`, 'New table'],
    [`${development}/structure`, 'Add column'],
    ['/admin/backups', 'New backup'],
  ]) {
    await page.goto(path)
    const button = page.locator('#content').getByRole('button', { name }).first()
    if (!(await button.waitFor({ timeout: 10_000 }).then(() => true, () => false))) {
      faults.push(`${path}: no button ${name}`)
      continue
    }
    await button.click()
    await page.getByRole('dialog').waitFor()
    for (const fault of await nameless(page, client)) faults.push(`${path}, ${name}: ${fault}`)
  }
  const entrance = await open({ token: null, expected: [401] })
  const stranger = await entrance.context().newCDPSession(entrance)
  await stranger.send('Accessibility.enable')
  await stranger.send('DOM.enable')
  await entrance.goto('/login')
  await entrance.getByLabel('Password').waitFor()
  for (const fault of await nameless(entrance, stranger)) faults.push(`/login: ${fault}`)
  check(faults.length === 0, `${faults.length} faults:\n${faults.join('\n')}`)
}
