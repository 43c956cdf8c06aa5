// Signs in, creates, pages, edits and deletes by the client that openapi-generator makes for Java.

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

import org.openapitools.client.ApiClient;
import org.openapitools.client.ApiException;
import org.openapitools.client.api.ContactsApi;
import org.openapitools.client.api.ContactsApi.*;
import org.openapitools.client.api.SigningInApi;
import org.openapitools.client.api.SigningInApi.APILoginRequest;
import org.openapitools.client.model.Contact;
import org.openapitools.client.model.ContactPage;
import org.openapitools.client.model.ContactPatch;
import org.openapitools.client.model.ContactToWrite;
import org.openapitools.client.model.Login;
import org.openapitools.client.model.Tokens;

public class JavaClient {
    interface Request {
        void send() throws ApiException;
    }

    static void check(boolean holds, Object what) {
        if (!holds) throw new IllegalStateException(String.valueOf(what));
    }

    static int statusOf(Request request) {
        try {
            request.send();
            return 200;
        } catch (ApiException refused) {
            return refused.getCode();
        }
    }

    static Tokens login(ApiClient client, String password) throws ApiException {
        Login login = new Login().username(System.getenv("USERNAME")).password(password);
        return new SigningInApi(client).login(APILoginRequest.newBuilder().login(login).build());
    }

    static ApiClient client() {
        ApiClient client = new ApiClient();
        client.updateBaseUri(System.getenv("URL"));
        return client;
    }

    public static void main(String[] arguments) throws Exception {
        check(statusOf(() -> login(client(), "no")) == 401, "a wrong password");
        String token = login(client(), System.getenv("PASSWORD")).getAccessToken();
        ApiClient client = client();
        client.setRequestInterceptor(request -> request.header("Authorization", "Bearer " + token));
        ContactsApi contacts = new ContactsApi(client);

        List<String> made = new ArrayList<>();
        for (int number = 0; number < 7; number++) {
            ContactToWrite content = new ContactToWrite()
                .firstName("Ada").lastName("Java " + number).company("Java Clients");
            Contact contact = contacts.createContact(
                APICreateContactRequest.newBuilder().contactToWrite(content).build());
            check(contact.getVersion() == 1 && content.getLastName().equals(contact.getLastName()), contact);
            made.add(contact.getId());
        }
        List<String> seen = new ArrayList<>();
        String cursor = null;
        do {
            ContactPage page = contacts.listContacts(APIListContactsRequest.newBuilder()
                .limit(3).company("Java Clients").cursor(cursor).build());
            page.getData().forEach(contact -> seen.add(contact.getId()));
            cursor = page.getMeta().getNextCursor();
        } while (cursor != null);
        List<String> all = new ArrayList<>(made);
        Collections.sort(all);
        Collections.sort(seen);
        check(seen.equals(all), seen);

        String id = made.get(0);
        var patched = contacts.patchContactWithHttpInfo(APIPatchContactRequest.newBuilder()
            .id(id).contactPatch(new ContactPatch().title("Countess")).build());
        check(patched.getData().getFirstName().equals("Ada"), patched.getData());
        String etag = patched.getHeaders().get("etag").get(0);
        var put = APIReplaceContactRequest.newBuilder()
            .id(id).ifMatch(etag).contactToWrite(new ContactToWrite().firstName("Augusta")).build();
        check(contacts.replaceContact(put).getTitle() == null, "what a PUT leaves out is cleared");
        check(statusOf(() -> contacts.replaceContact(put)) == 412, "a stale ETag");
        for (String each : made) {
            contacts.deleteContact(APIDeleteContactRequest.newBuilder().id(each).build());
        }
        var get = APIGetContactRequest.newBuilder().id(id).build();
        check(statusOf(() -> contacts.getContact(get)) == 404, "a deleted contact");
        System.out.println("java: signed in, created " + made.size() + ", paged, edited, deleted");
    }
}
