// The operations in GraphiQL's tabs when it is opened for the first time. A test validates each of them against the
// schema, so there must be nothing but GraphQL between two backquotes.
"use strict";

const OPERATIONS = [
  `# Who am I, and how full are my folders?
# Ctrl-Enter runs it.
query Folders {
  viewer {
    name
    address
    role
  }
  folders {
    name
    emailCount
    folders {
      name
      emailCount
    }
  }
}
`,
  `# Emails that were viewed and clicked
# but never answered, the liveliest first.
query Unanswered {
  emails(
    filter: {
      folder: [DELIVERED]
      engagement: [{ kind: VIEW }, { kind: CLICK }, { kind: REPLY, atMost: 0 }]
    }
    orderBy: { field: LATEST_ACTIVITY }
    first: 20
  ) {
    nodes {
      id
      subject
      sentAt
      person {
        name
        address
      }
      engagementSummary {
        views
        clicks
        replies
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
`,
  `# My lists, each with its filter
# as a sentence.
query Lists {
  savedSearches {
    nodes {
      id
      name
      state
      memberCount
      summary
    }
    asOf
  }
}
`,
  `# Every change to every list of mine,
# as it happens. Leave it running and watch.
subscription FollowLists {
  allSavedSearchChanges {
    __typename
    ... on MemberJoined {
      cursor
      savedSearchId
      member {
        joinedAt
        savedSearch {
          name
        }
        email {
          subject
          person {
            name
          }
        }
        cause {
          kind
          engagement {
            kind
            occurredAt
            url
          }
        }
      }
    }
    ... on MemberLeft {
      cursor
      savedSearchId
      emailId
      cause {
        kind
        engagement {
          kind
          occurredAt
        }
      }
    }
    ... on SavedSearchUpserted {
      cursor
      savedSearch {
        id
        name
        state
        memberCount
      }
    }
    ... on SavedSearchReset {
      cursor
      savedSearch {
        id
        name
        memberCount
      }
    }
    ... on SavedSearchDeleted {
      cursor
      savedSearchId
    }
    ... on CaughtUp {
      cursor
    }
    ... on CursorExpired {
      cursor
    }
  }
}
`,
  `# A new list: viewed and clicked, but not
# answered. With "FollowLists" running in its
# tab, watch it fill.
mutation CreateList {
  savedSearchCreate(
    input: {
      name: "Viewed and clicked, no reply"
      filter: { engagement: [{ kind: VIEW }, { kind: CLICK }, { kind: REPLY, atMost: 0 }] }
    }
  ) {
    savedSearch {
      id
      name
      summary
      state
      memberCount
    }
    userErrors {
      path
      code
      message
    }
  }
}
`,
];
