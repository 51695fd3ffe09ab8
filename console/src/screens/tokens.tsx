import { useQuery, useQueryClient } from '@tanstack/react-query'
import { KeyRound, Plus, Trash2 } from 'lucide-react'
import { useState } from 'react'
import { toast } from 'sonner'
import { api } from '@/api/client'
import { queries } from '@/api/queries'
import type { Token } from '@/api/types'
import { Button } from '@/ui/button'
import { Confirm } from '@/ui/confirm'
import { Ago, Badge, Empty, ErrorNotice, Panel, Skeleton, type Tone } from '@/ui/pieces'
import { Table, Td, Th, Tr } from '@/ui/table'
import { NewTokenDialog } from './new-token'
import { PageHead } from './page'

const tones: Record<Token['kind'], Tone> = {
  admin: 'production',
  user: 'plain',
  agent: 'preview',
  metrics: 'plain',
  setup: 'warn',
}

export function TokensScreen() {
  const { data, error } = useQuery(queries.tokens())
  const [making, setMaking] = useState(false)
  const [revoking, setRevoking] = useState<Token | null>(null)
  const client = useQueryClient()
  const revoke = async () => {
    if (!revoking) return
    await api.revokeToken(revoking.id)
    await client.invalidateQueries({ queryKey: ['tokens'] })
    toast.success('The token is revoked', { description: revoking.name })
  }
  return (
    <>
      <PageHead
        name="Tokens"
        title="Tokens"
        about="How programs and agents prove who they are. A person’s token may do no more than that person at the moment it is used."
      >
        <Button variant="primary" onClick={() => setMaking(true)}>
          <Plus /> New token
        </Button>
      </PageHead>
      {error && <ErrorNotice error={error} className="mb-4" />}
      {!data && !error && <Skeleton className="h-60" />}
      {data && (
        <Panel>
          {data.length === 0 ? (
            <Empty icon={KeyRound} title="No tokens" />
          ) : (
            <TokenTable tokens={data} onRevoke={setRevoking} />
          )}
        </Panel>
      )}
      <NewTokenDialog open={making} onClose={() => setMaking(false)} />
      <Confirm
        open={revoking !== null}
        onOpenChange={(open) => !open && setRevoking(null)}
        title={`Revoke ${revoking?.name ?? ''}?`}
        action="Revoke"
        danger
        onConfirm={revoke}
      >
        Whatever uses it is refused from now on. If it is the one that you are signed in with, you are signed out.
      </Confirm>
    </>
  )
}

function TokenTable({ tokens, onRevoke }: { tokens: Token[]; onRevoke: (token: Token) => void }) {
  return (
    <Table>
      <thead>
        <tr>
          <Th>Name</Th>
          <Th>Kind</Th>
          <Th>Of</Th>
          <Th>Reaches</Th>
          <Th>May</Th>
          <Th>Last used</Th>
          <Th>Expires</Th>
          <Th>Created</Th>
          <Th>
            <span className="sr-only">Revoke</span>
          </Th>
        </tr>
      </thead>
      <tbody>
        {tokens.map((t) => (
          <Tr key={t.id}>
            <Td className="min-w-32 font-medium">{t.name}</Td>
            <Td>
              <Badge tone={tones[t.kind]}>{t.kind}</Badge>
            </Td>
            <Td className="whitespace-nowrap">{t.person ?? <span className="text-muted">the installation</span>}</Td>
            <Td className="whitespace-nowrap">{t.project ?? <span className="text-muted">every project</span>}</Td>
            <Td>{t.right}</Td>
            <Td className="text-muted">{t.last_used_at ? <Ago at={t.last_used_at} /> : 'never'}</Td>
            <Td className="text-muted">{t.expires_at ? <Ago at={t.expires_at} /> : 'never'}</Td>
            <Td className="text-muted">
              <Ago at={t.created_at} />
            </Td>
            <Td className="text-right">
              <Button variant="ghost" size="icon-sm" aria-label={`Revoke ${t.name}`} onClick={() => onRevoke(t)}>
                <Trash2 />
              </Button>
            </Td>
          </Tr>
        ))}
      </tbody>
    </Table>
  )
}
