import { useQuery } from '@tanstack/react-query'
import { ExternalLink } from 'lucide-react'
import type { ReactNode } from 'react'
import { queries } from '@/api/queries'
import { CopyButton } from '@/ui/copy'
import { Badge, ErrorNotice, Panel, PanelHead, Skeleton } from '@/ui/pieces'
import { PageHead } from './page'

export function ServerScreen() {
  const { data, error } = useQuery(queries.server())
  return (
    <>
      <PageHead name="Server" title="Server" about="Which server this is, and who you are to it." />
      {error && <ErrorNotice error={error} />}
      {!data && !error && <Skeleton className="h-60" />}
      {data && (
        <div className="grid items-start gap-4 lg:grid-cols-2">
          <Panel>
            <PanelHead title="Installation" />
            <dl className="divide-y divide-line px-4">
              <Row name="Version">{data.version}</Row>
              <Row name="API">
                <Address text={location.origin} />
              </Row>
              {data.gateway && (
                <Row name="PostgreSQL clients">
                  <Address text={data.gateway} />
                </Row>
              )}
              <Row name="API description">
                <Out href="/api/openapi.json">OpenAPI 3.1</Out>
              </Row>
              <Row name="Software in this console">
                <Out href="/licences.txt">Licences</Out>
              </Row>
            </dl>
          </Panel>
          <Panel>
            <PanelHead title="You" />
            <dl className="divide-y divide-line px-4">
              <Row name="Known as">{data.you.name.replace(/^token /, '')}</Row>
              <Row name="Kind">
                <Badge>{data.you.kind}</Badge>
              </Row>
              <Row name="May">{data.you.right}</Row>
              <Row name="Reaches">{data.you.project_id ?? 'every project'}</Row>
            </dl>
          </Panel>
        </div>
      )}
    </>
  )
}

function Row({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className="flex min-h-10 items-center justify-between gap-4 py-1.5">
      <dt className="shrink-0 text-muted">{name}</dt>
      <dd className="min-w-0 text-right font-medium">{children}</dd>
    </div>
  )
}

function Address({ text }: { text: string }) {
  return (
    <span className="inline-flex items-center gap-1">
      <code className="text-xs">{text}</code>
      <CopyButton text={text} label={`Copy ${text}`} variant="ghost" size="icon-sm" />
    </span>
  )
}

function Out({ href, children }: { href: string; children: string }) {
  return (
    <a
      href={href}
      target="_blank"
      rel="noreferrer"
      className="inline-flex items-center gap-1 text-accent hover:underline"
    >
      {children} <ExternalLink className="size-3.5" aria-hidden />
    </a>
  )
}
