import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { Link, useNavigate, useParams } from '@tanstack/react-router'
import { ChevronDown, Rocket } from 'lucide-react'
import { publishes as api, type NewPublish, type Publish, publishQueries } from '@/api/publish'
import { useRights } from '@/lib/rights'
import { Button } from '@/ui/button'
import { Menu, MenuContent, MenuItem, MenuTrigger } from '@/ui/menu'
import { Ago, Badge, Empty, ErrorNotice, Panel, Skeleton } from '@/ui/pieces'
import { Table, Td, Th, Tr } from '@/ui/table'
import { PageHead } from './page'
import { Hazards, kindText, PublishState } from './publish-pieces'

/** How development's structure goes to production: every publish of a project, and how the next is planned. */
export function PublishesScreen() {
  const project = useParams({ from: '/inside/projects/$project/publish' }).project
  const { data, error } = useQuery(publishQueries.list(project))
  const rights = useRights(project)
  const navigate = useNavigate()
  const client = useQueryClient()
  const plan = useMutation({
    mutationFn: (ask: NewPublish) => api.plan(project, ask),
    onSuccess: (made) => {
      client.setQueryData(publishQueries.one(project, made.number).queryKey, made)
      client.invalidateQueries({ queryKey: ['publishes', project] })
      navigate({ to: '/projects/$project/publish/$number', params: { project, number: String(made.number) } })
    },
  })
  return (
    <>
      <PageHead
        name={`Publish · ${project}`}
        title="Publish"
        about="Takes development’s structure to production, proven on a copy of production first. Rows never travel."
      >
        {rights.write && (
          <div className="flex">
            <Button
              variant="primary"
              busy={plan.isPending}
              className="rounded-r-none"
              onClick={() => plan.mutate({ answers: [] })}
            >
              <Rocket /> Plan a publish
            </Button>
            <Menu>
              <MenuTrigger asChild>
                <Button
                  variant="primary"
                  size="icon"
                  aria-label="Other ways to plan"
                  className="rounded-l-none border-white/25 border-l"
                >
                  <ChevronDown />
                </Button>
              </MenuTrigger>
              <MenuContent align="end">
                <MenuItem onSelect={() => plan.mutate({ zero_downtime: true })}>
                  Old and new code side by side (expand, switch, contract)
                </MenuItem>
                <MenuItem onSelect={() => plan.mutate({ maintenance: true })}>
                  For a maintenance window (clients are held)
                </MenuItem>
              </MenuContent>
            </Menu>
          </div>
        )}
      </PageHead>
      {plan.error && <ErrorNotice error={plan.error} className="mb-4" />}
      {error && <ErrorNotice error={error} className="mb-4" />}
      {!data && !error && <Skeleton className="h-60" />}
      {data && (
        <Panel>
          {data.length === 0 ? (
            <Empty icon={Rocket} title="Nothing was published yet">
              Change development, then plan a publish: it compares both databases and changes neither.
            </Empty>
          ) : (
            <PublishTable publishes={data} />
          )}
        </Panel>
      )}
    </>
  )
}

function PublishTable({ publishes }: { publishes: Publish[] }) {
  return (
    <Table>
      <thead>
        <tr>
          <Th>Publish</Th>
          <Th>State</Th>
          <Th>Kind</Th>
          <Th className="text-right">Statements</Th>
          <Th>Hazards</Th>
          <Th>Author</Th>
          <Th>Approver</Th>
          <Th>Planned</Th>
          <Th>Can be reverted</Th>
        </tr>
      </thead>
      <tbody>
        {publishes.map((p) => (
          <Tr key={p.number} className="relative">
            <Td>
              <Link
                to="/projects/$project/publish/$number"
                params={{ project: p.project, number: String(p.number) }}
                className="font-medium after:absolute after:inset-0"
                aria-label={`Publish ${p.number}`}
              >
                {p.number}
              </Link>
            </Td>
            <Td>
              <PublishState state={p.state} />
            </Td>
            <Td className="whitespace-nowrap">
              {kindText(p)}
              {p.maintenance && (
                <Badge tone="warn" className="ml-2">
                  maintenance
                </Badge>
              )}
            </Td>
            <Td className="text-right">{p.statements}</Td>
            <Td>
              <Hazards hazards={p.hazards} />
            </Td>
            <Td className="text-muted">{p.author.replace(/^token /, '')}</Td>
            <Td className="text-muted">{p.approver?.replace(/^token /, '') ?? '–'}</Td>
            <Td className="text-muted">
              <Ago at={p.planned_at ?? p.created_at} />
            </Td>
            <Td className="text-muted">{revertible(p) ? <Ago at={p.grace_until ?? ''} /> : '–'}</Td>
          </Tr>
        ))}
      </tbody>
    </Table>
  )
}

function revertible(p: Publish): boolean {
  return p.state === 'published' && p.grace_until !== undefined && new Date(p.grace_until).getTime() > Date.now()
}
