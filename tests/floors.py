"""The order of the rooms, as one table; `test_layers.py` holds all imports to it."""

# From the top down, package by package.  A file imports what stands on a lower floor; `a | b`
# stand side by side and do not know each other.
FLOORS = {
    "roost": """
        __main__
        cli
        testing
        sim
        aio
        awaited | opening | restoring
        program
        server
        moving
        etcd | objects | series | counters | dashboard
        database
        member
        peer | journal | store | client
        raft
        settings
        self_signed | door | children | figures | certified | exchange | arrow | endpoint
        tls | descriptors | faces | ticker | histogram | os_errors | directories | places | lots
        fair_queue | memory | parted | slices | tasks
        call | outcome | memory_limit | tracing
        flow
        proto | errors | lazy | compiled | runbook | extras
    """,
    "roost.etcd": """
        figures
        services
        v3 | v2
        border
        access
        upkeep
        model
        errors | limits | ports
    """,
    "roost.member": """
        opening | settings | figures
        member
        loop
        parts
        links
        transfers | announcer | hedge | hurry | status | periodic | reporter | trimming
        custody | snapshots
        directory | pipeline
        cluster
        machine
        config | protocol | round_trips | operation | events
        errors
    """,
    "roost.peer": """
        transport
        gate
        house
        dialled
        accepting | link | doorbell | greeter
        snapshot
        handshake
        troubles | refusals | stream | sockets | upgrade | borrowed
        waiting | tls_socket
        network
        greeting
        lives | secret | certificate | claims
        local
        config | frame
        framing
        errors
    """,
    "roost.journal": """
        journal | life
        opening
        manifest | reading | replay | hard_state
        spare | discards | recovery | batch
        segment
        identity
        record | index | twin | privacy | verdicts
        disk
        errors
    """,
    "roost.store": """
        __main__
        store
        held | keeper | keeper_process | counted | differences
        engine
        long_write
        stack | txn | walk
        snapshot | view | observers | census | base_writer
        base_reader | scrub
        base
        layer | meta | catalog
        free_pages
        key_order | write_set
        columns | puts | digest | stall | crash
        runs | pages
        errors | rows | long_keys
    """,
    "roost.database": """
        blocking
        aio
        counting
        status | catalogue | opening | host | model | figures
        embedded | place
        observing | listening | runner | deriving
        past | replica | environment | derived_status
        events
        deriving_tree
        changes
        builtin
        committing
        once | optimistic | updates
        parts
        derived_rows
        source
        operations
        transaction
        conventions | moments
        carried
        rows
        derivations | changed
        bounds | declared | dirty
        codecs | answers
        limits | ordered
        errors | cluster | member_errors
    """,
    "roost.dashboard": """
        interface | store_pages
        endpoints
        viewing | pages
        gathering | happenings
        built | configured | facts | log | ports | storing
    """,
    "roost.objects": """
        blocking
        aio
        turns | machines
        asking | figures
        following
        publishing | callers
        replica | waiting
        layouts
        brackets | orders | shapes
        machine
        errors
    """,
    "roost.counters": """
        blocking
        aio
        calls | figures | interface
        operators
        watching | status
        desk | purging | retiring
        reports
        counting
        known | early | alarms | seeding | visiting
        work
        ports
        outside
        linking
        facts | forms | rights
        changing
        exchange
        reading | upkeep | renewing
        joining | relaying
        outgoing
        receiving | sending | registry | incoming
        messages | store
        requests | passing
        layers | logged
        environment | owners
        pace | rows | standing | step_log
        algebra | names
        errors | endpoints
    """,
    "roost.counters.aio": """
        counters
        later
    """,
    "roost.counters.blocking": """
        counters
        later
    """,
    "roost.objects.aio": """
        opening
        database
        objects | machines
        barriers | deques | dicts | lists | locks | queues | registers | sets
        sequences
        handle
    """,
    "roost.objects.layouts": """
        kinds
        operations
        barriers | deques | dicts | heaps | lines | machines | registers | sets
        lists
        counted_tree
        heads
    """,
    "roost.series": """
        interface
        prometheus | asking
        writing | tailing
        arrow | parts
        frames | driving
        intake | asked | deleting
        queries
        engine | selecting
        operations | reading | slicing
        retention | describing | notes
        trees
        jobs
        registry
        staging
        generations | sealing
        content | records
        chain | head
        line_protocol
        spelling | line_columns | line_heads
        draft | effects | blocks
        columns | names
        levels | windows
        pointwise
        summaries
        tables
        extra
        errors
    """,
    "roost.series.prometheus": """
        service
        remote_read
        api | remote_write
        cataloguing | subqueries
        evaluating | loading | parsing
        functions | operators | aggregating
        relabelling | histograms
        matching | packing | answers
        vectors | ranges | asked
        plan
        extra | errors
    """,
    "roost.server": """
        embedding
        serving
        figures
        models
        options | gateway | health | reflection | pools | counter_rights | log_levels | documented
        port | json_values | counter_way
        app | loop_watch | garbage | json_request | json_calls | exchanges | direct | asgi
        json_parts | posts | origins | exposition | openapi
        grpc | http1 | accepting | listening
        streaming | intake | http1_turn | http1_plain
        calls
        methods | unread | bodies | admission
        compression | h2 | json_answer | json_text | schemas
    """,
    "roost.faces": """
        writer
        face
        loop_thread
        errors | marks | mapping
    """,
    "roost.client": """
        series
        blocking
        aio
        turns
        watches | sticky
        prefixed
        connections
        channel | nearest | order
        backoff | credentials | scope | questions
        endpoints | transactions
        errors | shapes
    """,
    "roost.client.series": """
        sharded
        blocking
        aio
        requests
        members | asking | dataset | merging
        ways
        wire | questions | answers
        points | framed
        errors | arrow
    """,
    "roost.client.aio": """
        client
        locks | keys | counters
        leases | stm | users | cluster | maintenance | operations | later
        session
    """,
    "roost.raft": """
        core | codec
        conversations | timers | handing | admission
        membership
        transfer
        read_index
        heartbeat
        append
        election | snapshot
        fence | handler
        state
        leading | outbox
        reads | progress | log | quorum | confchange | config
        ready
        messages
        types | errors
    """,
    "roost.testing": """
        pressure | campaign | ingest | outage
        command
        load | namespaces | devices | plugin
        cluster | local
        failing_file | pages | switch | warden
        etcd | patience | ports | processes
    """,
    "roost.testing.pressure": """
        __main__
        campaign
        act | figures
        rows
        frames | ranges | watches | writes
        arena
        target
        wire | sizes | bystander
    """,
    "roost.sim": """
        mutants
        campaign | par | crashes | poison | conformance | programs
        members | cores
        linearizability
    """,
    "roost.sim.programs": """
        check
        run
        session | members
        history | tagged
        model
        errors
    """,
    "roost.sim.members": """
        simulation
        run | leases | counters
        nemesis
        intruders | heavy | listers | rooms | tree
        machines | clients
        judge | chronicle | swarm | tallies
        world
        network | rot | turns
        disk | loop
    """,
    "roost.cli": """
        check | shell | top
        __main__ | completion | get | lease | mirror | status | users | log_level | v2
        doctor | pages | importing | migrate | snapshot
        afar
        counter | forms | founding | kv | lock | main | maintenance | member | repair | series | sim
        progress | trees
        gateway | serve | shared
        discovery | interrupts | plotting | process | statements | troubles
        flags | preflight | watchdog
        answers | ending | exits | guarded | hello | insecurity | logs | settings | spans
    """,
    "roost.cli.discovery": """
        bootstrap
        domain | keys | late | tree
        first | srv
        asking
    """,
    "roost.cli.gateway": """
        gateway
        following | proxy
        targets
    """,
    "roost.cli.doctor": """
        doctor
        cluster | configuration
        asking | directory | machine | peers | ports | trust
        disk
        bounded | row
    """,
    "roost.cli.check": """
        check
        load
    """,
    "roost.cli.series": """
        series
        asking | keeping | files
        shared
    """,
    "roost.cli.migrate": """
        migrate
        migration
        contents | leases | state
    """,
    "roost.client.blocking": """
        client
        keys | leases
        cluster | counters | locks | maintenance | operations | session | stm | users
        later
    """,
    "roost.database.aio": """
        opening
        database
        derived
        observation | trees
    """,
    "roost.database.blocking": """
        opening
        database
        derived
        observation | trees
    """,
    "roost.moving": """
        exporting | importing
        giving | taking
        source | v2_replay
        replay | v2_snapshot
        backend | bolt_writer | requests
        bolt | wal
        fields
        errors
    """,
    "roost.etcd.access": """
        questions
        callers | jwt_tokens | passwords | signing
        changes | judge | tokens
        attempts | hashers | names | users
        permitted
    """,
    "roost.etcd.model": """
        kv | txn_reading
        plans
        compares | ranges
        alarms | compaction | leases | rows
        mvcc
        lines | sorting
        costs | page_counts | wire
        origin
    """,
    "roost.etcd.upkeep": """
        lessor
        compactor | counting | deadlines | guard | sweep
    """,
    "roost.etcd.v2": """
        services
        interface | endpoints
        statistics | modules
        keys | members | queues | registry | user_pages
        telling | asking
        patience | gate | piecewise
        watch_hub | expiry | forms | leading
        changes | listing | watchers | user_forms
        history | reads | dates | user_changes
        users
        nodes
        values
        faults
        json_text | paths
    """,
    "roost.etcd.v3": """
        routes
        watch
        auth | election | lock | maintenance | watch_hub
        candidates | cluster | copies | kv | latecomers | lease | logins | operations | turns
        desk
        learners | long_reads | places | watch_rights
        watchers
        answering | checks | costly | hashing | interface | range_index | requests | rights | texts
    """,
    "roost.member.cluster": """
        roster_watch
        neighbours
        membership | vouching
        roster
    """,
    "roost.member.custody": """
        custody
        digests | repair
    """,
    "roost.member.directory": """
        joining | rebuild
        fetching | new_cluster
        accept_loss | home
        peek
        store_record
    """,
    "roost.member.machine": """
        world
        reserve | worker
    """,
    "roost.member.pipeline": """
        applier | router
        executor
        forwarding | lights | long_run | making
        batch | forwarded | pacing | persistence | reads | traces
    """,
    "roost.member.snapshots": """
        schedule
        shelf_work
        bucket | folder
        bucket_place | shelf
        restoring | saving
        backup | written
        catchup | files
        snapshots
        copies | fetch
    """,
    "roost.program": """
        blocking
        aio
        here
    """,
    "roost.program.aio": """
        opening
        database
        series
    """,
    "roost.program.blocking": """
        opening
        database
        series
    """,
    "roost.objects.blocking": """
        opening
        database
        objects
        deques | lists
        dicts | queues | registers | sequences | sets
        barriers | handle | locks | machines
    """,
    "roost.proto": """
        election_pb2 | lock_pb2 | operations_pb2
        rpc_pb2
        auth_pb2 | counters_pb2 | health_pb2 | kv_pb2 | prometheus_pb2 | reflection_pb2
        generate | pool | ranges
    """,
    "roost.server.models": """
        registry
        counters | dashboard | etcd | programs | series
        model | series_endpoints | storage
        backups
    """,
    "roost.server.h2": """
        connection
        outgoing
        streams
        frames | hpack
    """,
    "roost.settings": """
        certificates
        ciphers | durations | urls
        arguments | settings
    """,
    "roost.sim.conformance": """
        disk | keeper | machine | network | storage
    """,
    "roost.sim.cores": """
        scenario | storm
        cores | script
        notation | storage
    """,
}
