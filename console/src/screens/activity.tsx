import { useInfiniteQuery } from '@tanstack/react-query'
import { RefreshCw, ScrollText } from 'lucide-react'
import { Fragment, useState } from 'react'
import { queries } from '@/api/queries'
import type { AuditEntry } from '@/api/types'
import { words } from '@/lib/format'
import { Button } from '@/ui/button'
import { cn } from '@/ui/cn'
import { Input } from '@/ui/field'
import { Ago, Empty, ErrorNotice, Panel, PanelHead, Skeleton } from '@/ui/pieces'
import { Table, Td, Th, Tr } from '@/ui/table'
import { PageHead } from './page'

/** The audit trail: who did what, on what, from where. */
export function ActivityScreen() {
  const audit = useInfiniteQuery({ ...queries.audit(), refetchInterval: 10_000 })
  const [filter, setFilter] = useState('')
  const entries = audit.data?.pages.flat() ?? []
  const needle = filter.trim().toLowerCase()
  const shown = entries.filter((e) =>
    `${e.actor} ${e.action} ${e.subject} ${e.source ?? ''}`.toLowerCase().includes(needle),
  )
  return (
    <>
      <PageHead
        name="Activity"
        title="Activity"
        about="Who did what, on what, from where. Entries are chained: what was written cannot be changed unnoticed."
      />
      {audit.error && <ErrorNotice error={audit.error} className="mb-4" />}
      {!audit.error && !audit.data && <Skeleton className="h-80" />}
      {audit.data && (
        <Panel>
          <PanelHead title={`${entries.length}${audit.hasNextPage ? ' newest' : ''} entries`}>
            <Button size="icon" variant="ghost" aria-label="Read again" onClick={() => audit.refetch()}>
              <RefreshCw className={cn(audit.isRefetching && 'animate-spin')} />
            </Button>
            <Input
              aria-label="Filter what is shown"
              placeholder="Filter…"
              value={filter}
              onChange={(e) => setFilter(e.target.value)}
              className="w-52"
            />
          </PanelHead>
          {shown.length === 0 ? (
            <Empty icon={ScrollText} title={entries.length === 0 ? 'Nothing has happened yet' : 'Nothing matches'} />
          ) : (
            <Entries entries={shown} />
          )}
          {audit.hasNextPage && (
            <div className="border-line border-t p-3 text-center">
              <Button size="sm" busy={audit.isFetchingNextPage} onClick={() => audit.fetchNextPage()}>
                Show older entries
              </Button>
            </div>
          )}
        </Panel>
      )}
    </>
  )
}

function Entries({ entries }: { entries: AuditEntry[] }) {
  return (
    <Table>
      <thead>
        <tr>
          <Th>When</Th>
          <Th>Who</Th>
          <Th>What</Th>
          <Th>On</Th>
          <Th>Details</Th>
          <Th>From</Th>
        </tr>
      </thead>
      <tbody>
        {entries.map((e) => (
          <Tr key={e.seq}>
            <Td className="text-muted">
              <Ago at={e.at} />
            </Td>
            <Td className="font-medium">{e.actor.replace(/^token /, '')}</Td>
            <Td className="whitespace-nowrap">{words(e.action)}</Td>
            <Td className={cn(/\/production$/.test(e.subject) && 'font-medium text-production')}>{e.subject}</Td>
            <Td className="max-w-72">
              <Details detail={e.detail} />
            </Td>
            <Td className="whitespace-nowrap font-mono text-faint text-xs">{e.source ?? '–'}</Td>
          </Tr>
        ))}
      </tbody>
    </Table>
  )
}

function Details({ detail }: { detail: unknown }) {
  if (typeof detail !== 'object' || detail === null) return <span className="text-faint">–</span>
  const pairs = Object.entries(detail).filter(([, value]) => value !== '' && value !== null)
  return (
    <span className="line-clamp-2 text-muted text-xs">
      {pairs.map(([name, value], i) => (
        <Fragment key={name}>
          {i > 0 && ' · '}
          <span className="text-faint">{name}</span> {typeof value === 'object' ? JSON.stringify(value) : String(value)}
        </Fragment>
      ))}
    </span>
  )
}
