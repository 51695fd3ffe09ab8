import { useQuery } from '@tanstack/react-query'
import { FileDown, ShieldQuestion } from 'lucide-react'
import type { ReactNode } from 'react'
import { backups as api, type Backup, type Finding } from '@/api/backups'
import { asProblem } from '@/api/problem'
import { save } from '@/lib/export'
import { bytes, duration, moment, words } from '@/lib/format'
import { Button } from '@/ui/button'
import { Badge, Empty, ErrorNotice, Panel, PanelHead, Skeleton, type Tone } from '@/ui/pieces'
import { Table, Td, Th, Tr } from '@/ui/table'

const tones: Record<Finding['state'], Tone> = {
  passed: 'ok',
  warning: 'warn',
  failed: 'production',
  skipped: 'plain',
}

/** The last proof that a backup restores: each check with what it found, under a signature that the server has checked. */
export function BackupProof({ backup: b, children }: { backup: Backup; children?: ReactNode }) {
  const { data, error } = useQuery({
    queryKey: ['backup-report', b.id, b.verified_at ?? ''],
    queryFn: ({ signal }) => api.report(b.id, signal),
  })
  const none = error && asProblem(error).code === 'not_found'
  const proof = data?.report
  return (
    <Panel aria-label="Proof">
      <PanelHead
        title="Proof"
        about="It is restored on a scratch server: rows, foreign keys, sequences, indexes, pages, roles and a login."
      >
        {data && (
          <Button onClick={() => save(`${b.name}-report.html`, 'text/html', data.page)}>
            <FileDown /> Save the report
          </Button>
        )}
        {children}
      </PanelHead>
      {error && !none && <ErrorNotice error={error} className="m-3" />}
      {!data && !error && <Skeleton className="m-4 h-24" />}
      {none && (
        <Empty icon={ShieldQuestion} title="It was not proved yet">
          A backup that was never restored is a hope. Verify it, or let the nightly drill do so.
        </Empty>
      )}
      {proof && (
        <>
          <p className="flex flex-wrap items-center gap-2 px-4 py-3 text-muted text-sm">
            <Badge tone={proof.passed ? 'ok' : 'production'}>{proof.passed ? 'Passed' : 'Failed'}</Badge>
            {moment(new Date(proof.ended_at))}, on PostgreSQL {proof.server_version}, {bytes(proof.size)} in{' '}
            {duration((Date.parse(proof.ended_at) - Date.parse(proof.started_at)) / 1000)}
            {proof.by && `, by ${proof.by.replace(/^token /, '')}`}
          </p>
          <Table aria-label="Checks of the proof">
            <thead>
              <tr>
                <Th>Check</Th>
                <Th>Result</Th>
                <Th>What was found</Th>
              </tr>
            </thead>
            <tbody>
              {(proof.findings ?? []).map((f) => (
                <Tr key={f.check}>
                  <Td className="whitespace-nowrap font-medium">{words(f.check)}</Td>
                  <Td>
                    <Badge tone={tones[f.state]}>{f.state}</Badge>
                  </Td>
                  <Td className="min-w-60 text-muted">
                    {f.detail} {f.hint}
                    {(f.items ?? []).length > 0 && (
                      <ul className="mt-1 list-disc pl-4 text-xs">
                        {f.items?.map((item) => (
                          <li key={item}>{item}</li>
                        ))}
                      </ul>
                    )}
                  </Td>
                </Tr>
              ))}
            </tbody>
          </Table>
          {(proof.notes ?? []).map((note) => (
            <p key={note} className="px-4 py-1 text-faint text-xs">
              {note}
            </p>
          ))}
        </>
      )}
    </Panel>
  )
}
